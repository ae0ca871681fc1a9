"""Where to compute, and the facts about it that a record needs. torch is imported when called."""

import os
import platform
import sys
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


def resolve_device(name: str) -> "torch.device":
    """The device called `name`; "auto" is the first CUDA device, else the CPU.

    Raises:
        UserError: `spec_invalid` for a name that is no device.
        PlatformError: `device_unavailable`.
    """
    import torch

    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
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


def environment_facts() -> dict[str, str]:
    """Versions and machine, as text by name."""
    facts = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": str(os.cpu_count() or 0),
    }
    facts |= {name: _version(name) for name in RECORDED_PACKAGES}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["cuda"] = str(torch.version.cuda)
        facts["gpu"] = torch.cuda.get_device_name(0)
        facts["gpu_count"] = str(torch.cuda.device_count())
    return facts


def _version(package: str) -> str:
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
