"""A job on a real GPU in the real cage, and the memory it gives back when it is ended."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.cage import Limits, core_job, job_environment
from evaluation.runner import run_job
from evaluation.visible import gpu_binds
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.jobs import require_cage
from tests.support.tiny_models import LABELS, SENTENCES, save_text_classifier

LIMITS = Limits(wall_s=300, threads=4)
MIB = 1 << 20


def test_only_a_gpu_job_is_told_which_gpus_are_the_workers(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    jobs = [
        core_job("evaluate", tmp_path / "s", tmp_path, read_only=[], use_gpu=g)
        for g in (True, False)
    ]
    on_gpu, on_cpu = (job_environment(job, LIMITS, home="/tmp") for job in jobs)
    assert on_gpu["CUDA_VISIBLE_DEVICES"] == "1"
    assert set(on_gpu) - set(on_cpu) == {"CUDA_VISIBLE_DEVICES"}
    assert "DATABASE_URL" not in on_gpu


def test_a_gpu_job_sees_the_devices_and_that_their_driver_is_live(tmp_path):
    for name in (
        *("dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "dev/nvidia-uvm", "dev/sda"),
        "dev/nvidia-caps/nvidia-cap1",
        *("sys/module/nvidia/initstate", "sys/module/nvidia_uvm/initstate", "sys/module/kvm/x"),
        "proc/driver/nvidia/gpus/0000:01:00.0/information",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    arguments = gpu_binds(tmp_path)
    binds = zip(*(arguments[at::3] for at in range(3)), strict=True)
    found = [(how, str(Path(source).relative_to(tmp_path))) for how, source, _ in binds]
    assert found == [
        ("--dev-bind", "dev/nvidia-caps/nvidia-cap1"),
        ("--dev-bind", "dev/nvidia-uvm"),
        ("--dev-bind", "dev/nvidia0"),
        ("--dev-bind", "dev/nvidia1"),
        ("--dev-bind", "dev/nvidiactl"),
        ("--ro-bind", "sys/module/nvidia"),
        ("--ro-bind", "sys/module/nvidia_uvm"),
        ("--ro-bind-try", "sys/bus/pci/devices/0000:01:00.0"),
    ]
    assert arguments[1::3] == arguments[2::3]


@pytest.fixture
def spec(tmp_path):
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out").chmod(0o777)
    model = save_text_classifier(tmp_path / "in/model")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(SENTENCES, 8)) for _ in range(20_000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in/t.parquet")
    data = DataSpec((str(tmp_path / "in/t.parquet"),))
    engine = EngineSpec(device="cuda")
    return EvaluationSpec(
        "text-classification", ModelSpec(str(model)), data, labels=LABELS, engine=engine
    )


def caged(spec, tmp_path, **more):
    spec.write(tmp_path / "in/spec.json")
    job = core_job(
        "evaluate",
        tmp_path / "in/spec.json",
        tmp_path / "out",
        read_only=[tmp_path / "in"],
        use_gpu=True,
    )
    return run_job(job, cage=require_cage(), limits=LIMITS, **more)


@pytest.mark.gpu
@pytest.mark.slow
def test_a_caged_job_computes_on_the_gpu(spec, tmp_path):
    outcome = caged(spec, tmp_path)
    assert outcome.ok, outcome
    execution = json.loads((tmp_path / "out/result.json").read_text())["execution"]
    assert execution["device"] == "cuda"
    assert execution["peak_device_memory_bytes"] > 0
    assert execution["n_errors"] == 0


@pytest.mark.gpu
@pytest.mark.slow
def test_a_cancelled_job_gives_the_gpu_back(spec, tmp_path):
    """One row a batch lasts for long; once the job is gone, so are its context and memory."""
    import torch

    slow = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=1))
    before = torch.cuda.mem_get_info()[0]
    held, cancelled_at = [], []

    def note(event):
        if event["event"] == "progress":
            held.append(before - torch.cuda.mem_get_info()[0])

    def should_cancel():
        if held and not cancelled_at:
            cancelled_at.append(time.monotonic())
        return bool(held)

    outcome = caged(slow, tmp_path, on_event=note, should_cancel=should_cancel)
    took_s = time.monotonic() - cancelled_at[0]
    assert outcome.family == "cancelled"
    assert max(held) > 100 * MIB, "the job held a context at least"
    assert took_s < 2.0
    assert before - torch.cuda.mem_get_info()[0] < 16 * MIB
