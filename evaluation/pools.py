"""Pools: which workers a run may wait for, by the memory that its model needs. Reads settings only.

The operator names the pools with the memory that a job gets there, the one for ordinary runs first
(`settings.RUN_POOLS`); each worker says which it serves (`settings.WORKER_POOLS`). A run goes to
the first pool that is large enough; heavy work to the first such pool with GPUs, if there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from hub.errors import InvalidInput
from hub.models import Repo

GIB = 1 << 30
QUEUE = "evaluate"
"""Celery's queue of all workers that execute runs; each pool's own has its name behind a dot."""

JOB_BYTES = 1 * GIB
"""Of a job before its weights: imports, tokenizer, inputs."""
READING_FACTOR = 1.3
"""Memory for each byte of weights where a model is only read: the weights and what flows by."""
TRAINING_COPIES = 4
"""Weights, gradients and the two moments of AdamW, each in float32."""
ADAPTER_COPIES = 1.3
"""Of a training whose weights stay as they are."""
CONVERSION_COPIES = 2.5
"""Before and after, and what the exporter holds."""
BYTES_OF_DTYPE = {"float32": 4, "bfloat16": 2, "float16": 2}
HEAVY_PARAMETERS = 1_000_000_000
"""From here on evaluating takes a CPU hours."""
HEAVY_WRITING = 300_000_000
"""The same where texts are written word by word, or weights are trained."""
WRITING_TASKS = frozenset({"text-generation", "summarization", "translation"})


@dataclass(frozen=True)
class Pool:
    name: str
    memory_bytes: int
    """What the job of one run gets."""

    @property
    def has_gpus(self) -> bool:
        return self.name.startswith("gpu")

    @property
    def queue(self) -> str:
        return queue_of(self.name)


@dataclass(frozen=True)
class Need:
    """What a run asks of a machine. `memory_bytes` None: the size of its model is not known."""

    memory_bytes: int | None = None
    is_heavy: bool = False


def queue_of(pool: str) -> str:
    """The Celery queue by which workers of a pool are rung."""
    return f"{QUEUE}.{pool}"


def all_pools() -> list[Pool]:
    """The operator's pools, in their order."""
    return [Pool(name, size) for name, size in settings.RUN_POOLS.items()]


def memory_of(pool: str) -> int:
    """What a job of the pool gets; of a pool that the operator no longer names, the usual."""
    return int(settings.RUN_POOLS.get(pool, settings.RUN_MEMORY_LIMIT_BYTES))


def choose_pool(need: Need, pools: list[Pool] | None = None) -> Pool:
    """The first pool that is large enough. Raises `InvalidInput` where none is."""
    pools = all_pools() if pools is None else pools
    wanted = need.memory_bytes or 0
    fitting = [pool for pool in pools if pool.memory_bytes >= wanted]
    if not fitting:
        most = max(pool.memory_bytes for pool in pools)
        raise InvalidInput(
            f"A run of this model needs about {wanted / GIB:.1f} GiB of memory; the largest pool "
            f"of workers here gives {most / GIB:.1f} GiB. Use a smaller model, or ask the operator."
        )
    if need.is_heavy:
        return next((pool for pool in fitting if pool.has_gpus), fitting[0])
    return fitting[0]


def assign_pool(spec: dict[str, Any], need: Need) -> dict[str, Any]:
    """Gives the job the memory of its pool; the fields of a run that waits there.

    Raises: InvalidInput: the model is too large for every pool.
    """
    pool = choose_pool(need)
    spec["limits"]["memory_bytes"] = pool.memory_bytes
    return {"pool": pool.name, "needs_bytes": need.memory_bytes}


def evaluation_need(*, model: Repo, commit: str, task: Mapping[str, Any]) -> Need:
    """Of reading the model at `commit` for a benchmark's task."""
    parameters = known_parameters(model, commit)
    if parameters is None:
        return Need()
    size = parameters * BYTES_OF_DTYPE.get(task.get("dtype", "float32"), 4)
    least = HEAVY_WRITING if task["type"] in WRITING_TASKS else HEAVY_PARAMETERS
    return Need(round(JOB_BYTES + READING_FACTOR * size), parameters >= least)


def conversion_need(*, model: Repo, commit: str) -> Need:
    """Of converting: the model and its outcome stand side by side in float32."""
    parameters = known_parameters(model, commit)
    if parameters is None:
        return Need()
    return Need(round(JOB_BYTES + CONVERSION_COPIES * 4 * parameters))


def training_need(*, base: Repo, commit: str, method: str) -> Need:
    """Of fine-tuning `base`, wholly or by an adapter."""
    parameters = known_parameters(base, commit)
    if parameters is None:
        return Need()
    copies = TRAINING_COPIES if method == "full" else ADAPTER_COPIES
    return Need(round(JOB_BYTES + copies * 4 * parameters), parameters >= HEAVY_WRITING)


def known_parameters(model: Repo, commit: str) -> int | None:
    """By the headers of the weights, which are read for the newest commit; None of another."""
    total = (model.safetensors or {}).get("total")
    return total if model.head_sha == commit and isinstance(total, int) and total > 0 else None
