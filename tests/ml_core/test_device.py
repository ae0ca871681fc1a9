"""What a record says of the device, and the arithmetic it is held to."""

import pytest
import torch

from ml_core import device
from ml_core.device import (
    environment_facts,
    exact_arithmetic,
    nvidia_driver,
    peak_memory_bytes,
    resolve_device,
    watch_memory,
)
from ml_core.errors import PlatformError

CPU = torch.device("cpu")


MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn


def arithmetic():
    return (MATMUL.allow_tf32, CUDNN.allow_tf32, CUDNN.benchmark, CUDNN.deterministic)


def test_float32_is_not_quietly_tf32_and_settings_come_back():
    """torch lets cuDNN use TF32 for float32 convolutions unless it is told not to."""
    before = arithmetic()
    assert CUDNN.allow_tf32, "torch's default has changed: is exact_arithmetic still needed?"
    with exact_arithmetic():
        assert arithmetic() == (False, False, False, True)
    assert arithmetic() == before


OPEN_DRIVER = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
OLD_DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.82  Sun Oct 31 01:00:00 UTC 2021\n"
)


@pytest.mark.parametrize(
    ("said", "driver"),
    [(OPEN_DRIVER, "580.159.04"), (OLD_DRIVER, "470.82"), ("something else", "unknown")],
)
def test_the_driver_is_read_from_the_kernels_words(said, driver, tmp_path):
    (tmp_path / "version").write_text(said)
    assert nvidia_driver(tmp_path / "version") == driver
    assert nvidia_driver(tmp_path / "absent") == "unknown"


def test_a_run_on_the_cpu_claims_no_gpu():
    watch_memory(CPU)
    assert peak_memory_bytes(CPU) is None
    facts = environment_facts(CPU)
    assert facts["torch"] == torch.__version__
    assert not [name for name in facts if name.startswith(("gpu", "cuda"))]


@pytest.fixture
def gpu_that_says(monkeypatch, tmp_path):
    """A machine with an NVIDIA driver on which CUDA ends with these words."""

    def pretend(words):
        def init():
            raise RuntimeError(words)

        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "init", init)
        monkeypatch.setattr(device, "NVIDIA_CONTROL", tmp_path / "nvidiactl")

    return pretend


def test_a_gpu_that_does_not_start_is_no_reason_to_go_on_without_it(gpu_that_says, tmp_path):
    gpu_that_says("Unexpected error from cudaGetDeviceCount().\nError 304: OS call failed")
    assert resolve_device("auto") == CPU, "a machine without the driver's device file"
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(PlatformError, match=r"CUDA does not start.*304: OS call failed") as caught:
        resolve_device("auto")
    assert caught.value.code == "device_unavailable"
    assert resolve_device("cpu") == CPU


def test_a_job_that_is_shown_no_gpu_takes_the_cpu(gpu_that_says, tmp_path):
    gpu_that_says("No CUDA GPUs are available")
    (tmp_path / "nvidiactl").touch()
    assert resolve_device("auto") == CPU
