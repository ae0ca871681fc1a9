"""Where to compute, and the facts about it that a record needs. torch is imported when called."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ml_core.errors import Code, PlatformError, UserError

if TYPE_CHECKING:
    import torch

RECORDED_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "pyarrow",
    "pillow",
)
NO_GPU_CHOSEN = "No CUDA GPUs are available"
"""torch's words where CUDA starts and shows no device, as with an empty CUDA_VISIBLE_DEVICES."""
NVIDIA_CONTROL = Path("/dev/nvidiactl")
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
EXACT_ARITHMETIC = {
    "float32": "ieee",
    "convolutions": "deterministic",
}
"""What `exact_arithmetic` sees to, in the words of a record."""


def resolve_device(name: str) -> "torch.device":
    """The device called `name`; "auto" is the first CUDA device, else the CPU.

    Raises:
        UserError: `spec_invalid` for a name that is no device.
        PlatformError: `device_unavailable`, also for "auto" on a machine whose GPU does not start.
    """
    import torch

    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
        if name == "cpu":
            _refuse_broken_gpu()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(Code.SPEC_INVALID, f"{name!r} is no device.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(Code.SPEC_INVALID, f"The device must be cpu or cuda, not {device.type}.")
    index = device.index or 0
    if device.type == "cuda" and not (
        torch.cuda.is_available() and index < torch.cuda.device_count()
    ):
        raise PlatformError(Code.DEVICE_UNAVAILABLE, f"This machine has no device {name}.")
    return device


def _refuse_broken_gpu() -> None:
    """Raise where CUDA fails on a GPU that is there: a slow run on the CPU would hide that."""
    import torch

    if torch.version.cuda is None or not NVIDIA_CONTROL.exists():
        return
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's
    except RuntimeError as error:
        if NO_GPU_CHOSEN in str(error):
            return
        cause = " ".join(str(error).split())[:300]
        raise PlatformError(
            Code.DEVICE_UNAVAILABLE, f"This machine has a GPU, but CUDA does not start: {cause}"
        ) from error


def resolve_dtype(name: str) -> "torch.dtype":
    """torch's dtype for a name that a spec allows."""
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return dtypes[name]


def device_name(device: "torch.device") -> str:
    """The make of the device, as far as the machine tells."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return _cpu_name()


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """float32 means float32, and a convolution gives the same bits each time.

    A GPU would otherwise compute convolutions in TF32, which keeps 10 bits of a number's 23, by
    torch's own default, and could choose its algorithm by a race. Earlier settings come back.

    Source: PyTorch, "Numerical accuracy" and "Reproducibility" notes.
    """
    from torch.backends import cuda, cudnn

    matmul = cuda.matmul
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    try:
        matmul.allow_tf32, cudnn.allow_tf32 = False, False
        cudnn.benchmark, cudnn.deterministic = False, True
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


def watch_memory(device: "torch.device") -> None:
    """Begin to measure `peak_memory_bytes`."""
    import torch

    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: "torch.device") -> int | None:
    """The most that tensors held on a GPU since `watch_memory`; None for the CPU."""
    import torch

    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def environment_facts(device: "torch.device") -> dict[str, str]:
    """Versions and machine, as text by name; those of a GPU where `device` is one."""
    facts = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": str(os.cpu_count() or 0),
    }
    facts |= {name: package_version(name) for name in RECORDED_PACKAGES}
    return facts | _gpu_facts(device) if device.type == "cuda" else facts


def _gpu_facts(device: "torch.device") -> dict[str, str]:
    import torch

    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch's
    properties = torch.cuda.get_device_properties(device)
    return {
        "cuda": str(torch.version.cuda),
        "cudnn": str(cudnn),
        "gpu": properties.name,
        "gpu_count": str(torch.cuda.device_count()),
        "gpu_memory_bytes": str(properties.total_memory),
        "gpu_capability": f"{properties.major}.{properties.minor}",
        "gpu_driver": nvidia_driver(NVIDIA_DRIVER),
    }


def nvidia_driver(path: Path) -> str:
    """The driver's version in the kernel's own words, "unknown" where it says nothing."""
    try:
        found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", path.read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[0] if found else "unknown"


def package_version(package: str) -> str:
    """Of an installed package; “absent” where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
