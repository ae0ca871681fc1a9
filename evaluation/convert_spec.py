"""What a conversion is asked to do: checked before anything waits, frozen when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from evaluation.bases import WHOLE, Base
from evaluation.finetune_spec import Target
from evaluation.models import Benchmark
from evaluation.spec import SEED, SPEC_VERSION
from hub.errors import InvalidInput
from hub.models import Repo
from ml_core.convert.catalogue import get_conversion, why_not
from ml_core.convert.specs import SCORED_TASKS, ConversionSpec
from ml_core.errors import CoreError
from ml_core.specs import EvaluationSpec, ModelSpec

DTYPES = ("float32", "bfloat16", "float16")
MESSAGES = {
    "safetensors": "Weights as safetensors",
    "merge": "Adapter merged into its base",
    "onnx": "ONNX model",
    "int8": "int8 ONNX model",
}


@dataclass(frozen=True)
class ConvertWish:
    """What somebody asks for. None leaves a value to the conversion.

    Args:
        file: which one to convert, where several could be meant.
        benchmark: what an int8 model is scored on; the caller has checked access.
    """

    conversion: str
    target: Target
    file: str | None = None
    dtype: str | None = None
    benchmark: Benchmark | None = None


def build_convert_spec(
    *, model: Repo, commit: str, names: set[str], base: Base | None, wish: ConvertWish
) -> dict[str, Any]:
    """The spec of a conversion, as JSON values.

    Shape: `version`, `model{repo, commit}`, `conversion`, `file`, `dtype`, `engine`, `output` (see
    `Target`), `limits`; for a merge `base{repo, commit}`; for a scored one `benchmark`, `dataset`,
    `task`, `label_map` as those of an evaluation.

    Args:
        names: of the files at the top of the commit.

    Raises: InvalidInput: the model cannot be converted so, or the outcome may not go there.
    """
    try:
        conversion = get_conversion(wish.conversion)
    except CoreError as error:
        raise InvalidInput(error.message) from None
    problem = why_not(conversion, names)
    if problem is not None:
        raise InvalidInput(problem.message)
    is_same = wish.target.repo.lower() == model.full_name.lower()
    if wish.target.kind != "repo" and not is_same:
        raise InvalidInput("A commit or pull request with converted files goes to the same model.")
    if wish.target.kind != "repo" and not conversion.may_stay:
        raise InvalidInput("A merged model needs a new repository of its own.")
    has_whole = bool(names & WHOLE)
    if wish.conversion == "safetensors" and wish.target.kind != "repo" and has_whole:
        raise InvalidInput("The model has safetensors weights already; they would be replaced.")
    if wish.file is not None and wish.file not in names:
        raise InvalidInput(f"There is no file {wish.file[:200]!r} at the top level.")
    spec: dict[str, Any] = {
        "version": SPEC_VERSION,
        "model": {"repo": model.full_name, "commit": commit},
        "conversion": wish.conversion,
        "file": wish.file,
        "dtype": wish.dtype,
        "engine": {"dtype": "float32", "device": "cpu", "seed": SEED},
        "output": {**wish.target.to_json(), "title": MESSAGES[wish.conversion]},
        "limits": {
            "wall_s": settings.RUN_WALL_LIMIT_S,
            "memory_bytes": settings.RUN_MEMORY_LIMIT_BYTES,
            "out_bytes": settings.FINETUNE_OUTPUT_LIMIT_BYTES,
        },
        **({"base": base.to_json()} if base else {}),
        **(_scored_on(wish) if wish.benchmark else {}),
    }
    try:
        core_convert_spec(spec, model=Path("model"), base=Path("base"), evaluation=None)
    except CoreError as error:
        raise InvalidInput(error.message) from None
    return spec


def core_convert_spec(
    spec: dict[str, Any], *, model: Path, base: Path, evaluation: EvaluationSpec | None
) -> ConversionSpec:
    """The spec as `ml_core` takes it, with the folders of this machine.

    Raises: UserError: the parts do not go together.
    """
    under = None
    if "base" in spec:
        under = ModelSpec(str(base), spec["base"]["repo"], spec["base"]["commit"])
    return ConversionSpec(
        conversion=spec["conversion"],
        model=ModelSpec(str(model), spec["model"]["repo"], spec["model"]["commit"], under),
        file=spec["file"],
        dtype=spec["dtype"],
        is_whole=spec["output"]["kind"] == "repo",
        evaluation=evaluation,
        name=spec["output"]["repo"].rpartition("/")[2],
        seed=spec["engine"]["seed"],
    )


def _scored_on(wish: ConvertWish) -> dict[str, Any]:
    benchmark = wish.benchmark
    assert benchmark is not None
    version = benchmark.current
    if wish.conversion != "int8":
        raise InvalidInput("A benchmark is for int8 models alone: the others answer the same.")
    if version is None or not benchmark.is_active:
        raise InvalidInput("This benchmark is retired: its data set no longer declares it.")
    if benchmark.task_type not in SCORED_TASKS:
        tasks = ", ".join(SCORED_TASKS)
        raise InvalidInput(f"int8 models can be scored on benchmarks of: {tasks}.")
    return {
        "benchmark": {
            "id": benchmark.full_id,
            "version": version.number,
            "spec_digest": version.spec_digest,
        },
        "dataset": {"repo": benchmark.dataset.full_name, "commit": version.commit_sha},
        "task": version.spec,
        "label_map": None,
    }
