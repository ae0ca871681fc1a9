"""A model whose outputs onnxruntime computes, behind the face of the one it was made from."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from ml_core.errors import Code, UserError

OUTPUT = "logits"


def open_session(path: Path) -> Any:  # onnxruntime has no types
    """A session on the CPU with as many threads as torch has. Raises UserError."""
    import onnxruntime  # type: ignore[import-untyped]  # ships none

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # anything can be wrong with a stranger's file
        text = " ".join(str(error).split())[:300]
        raise UserError(
            Code.UNSUPPORTED_MODEL, f"onnxruntime does not open the model: {text}"
        ) from error


def compute(session: Any, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """The first output of `session` for those of `given` that it takes."""
    wanted = {item.name for item in session.get_inputs()}
    whole = {n: v if v.is_floating_point() else v.long() for n, v in given.items() if n in wanted}
    fed = {name: value.cpu().numpy() for name, value in whole.items()}
    return torch.from_numpy(session.run(None, fed)[0])


def compute_by_onnx(model: nn.Module, path: Path) -> None:
    """From here on `model` answers what the ONNX file answers."""
    session = open_session(path)

    def forward(**given: Any) -> SimpleNamespace:
        tensors = {name: v for name, v in given.items() if isinstance(v, torch.Tensor)}
        return SimpleNamespace(**{OUTPUT: compute(session, tensors)})

    model.forward = forward
