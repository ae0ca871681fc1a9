"""safetensors into ONNX by torch's own exporter, held against torch in onnxruntime.

Batch and length are free in the file. Weights are float32 and lie inside it.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ml_core.convert.inputs import Samples, samples_for
from ml_core.convert.results import Parity
from ml_core.convert.working import (
    RELATIVE_TOLERANCE,
    Done,
    Work,
    count,
    load_whole,
    output_of,
    parity_of,
)
from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint, open_checkpoint
from ml_core.load.config import read_json
from ml_core.load.onnx import compute, open_session

FOLDER, FILE = "onnx", "model.onnx"
MAX_BYTES = 1_900_000_000
"""Of weights: one ONNX file holds less than 2 GiB."""
COMPARED = "scores of torch against onnxruntime, float32, batches of several sizes"


@dataclass(frozen=True)
class Exported:
    """A model, the face of it that was exported, and how well file and face agree on `samples`."""

    model: PreTrainedModel
    face: nn.Module
    samples: Samples
    parity: Parity


class _Face(nn.Module):
    """A model that takes tensors in a fixed order and gives one."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names
        # A cache of keys and values would come out as further tensors.
        self.fixed = {"use_cache": False} if hasattr(model.config, "use_cache") else {}

    def forward(self, first: Any, second: Any = None, third: Any = None) -> torch.Tensor:
        given = dict(zip(self.names, (first, second, third), strict=False))
        return output_of(self.model(**given, **self.fixed))


def convert(work: Work) -> Done:
    """Raises UserError: `unsupported_model`, `parity_failed`, …"""
    checkpoint = open_for_export(work)
    target = work.out / FOLDER / FILE
    made = export(work, checkpoint, target)
    return Done(
        architecture=type(made.model).__name__,
        parameters=count(made.model),
        dtype="float32",
        source_format="safetensors",
        parity=made.parity,
        read=tuple(checkpoint.folder / name for name in checkpoint.weights.files),
        carry_from=(work.source,),
    )


def open_for_export(work: Work) -> Checkpoint:
    checkpoint = open_checkpoint(work.source, max_parameters=work.spec.max_parameters)
    if checkpoint.weights.n_parameters * 4 > MAX_BYTES:
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"The model has {checkpoint.weights.n_parameters:,} parameters, more than one ONNX "
            f"file holds in float32 ({MAX_BYTES // 4:,}).",
        )
    return checkpoint


def export(work: Work, checkpoint: Checkpoint, target: Path) -> Exported:
    """Write `target`, which answers as the model does.

    Raises UserError: `unsupported_model` where torch cannot export it; `parity_failed`.
    """
    model = load_whole(work, checkpoint).model
    samples = samples_for(model, seed=work.spec.seed, has_types=_has_types(checkpoint))
    work.reporter.phase("running")
    target.parent.mkdir(parents=True, exist_ok=True)
    face = _Face(model, samples.names).eval()
    _export(face, samples, target)
    work.reporter.phase("scoring")
    parity = compare(face, samples, target, COMPARED, relative=RELATIVE_TOLERANCE)
    require_parity(parity)
    return Exported(model, face, samples, parity)


def compare(
    face: nn.Module, samples: Samples, file: Path, compared: str, *, relative: float | None
) -> Parity:
    """`file` in onnxruntime against the model that it was made of."""
    session = open_session(file)
    pairs = []
    for batch in samples.batches:
        with torch.inference_mode():
            expected = face(*batch)
        try:
            found = compute(session, dict(zip(samples.names, batch, strict=True)))
        except Exception as error:  # onnxruntime's own errors, on sizes it was not exported for
            text = " ".join(str(error).split())[:300]
            raise UserError(
                Code.PARITY_FAILED,
                f"onnxruntime cannot run the exported model on a batch of {tuple(batch[0].shape)}: "
                f"{text}",
            ) from error
        pairs.append((expected, found))
    return parity_of(pairs, compared, relative=relative)


def require_parity(parity: Parity) -> None:
    """Raise `parity_failed` where the difference is above the tolerance."""
    if not parity.holds:
        raise UserError(
            Code.PARITY_FAILED,
            f"The outcome was thrown away, because it does not answer as the model does: "
            f"{parity.compared} differ by up to {parity.max_difference:.3g}, and "
            f"{parity.tolerance:.3g} is allowed.",
            max_difference=parity.max_difference,
            tolerance=parity.tolerance,
        )


def _export(face: nn.Module, samples: Samples, target: Path) -> None:
    free = torch.export.Dim.DYNAMIC
    shapes = tuple(dict.fromkeys(dims, free) for dims in samples.free)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own future
            torch.onnx.export(
                face,
                samples.batches[0],
                str(target),
                dynamo=True,
                input_names=list(samples.names),
                output_names=["logits"],
                dynamic_shapes=shapes,
                external_data=False,
                verbose=False,
            )
    except MemoryError:
        raise
    except Exception as error:  # tracing runs the model's code in ways it was not written for
        text = " ".join(str(error).split())[:300]
        kind = type(getattr(face, "model", face)).__name__
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"torch cannot export {kind} to ONNX: {type(error).__name__}: {text}",
            architecture=kind,
        ) from error


def _has_types(checkpoint: Checkpoint) -> bool:
    """Whether the tokenizer tells the two texts of a pair apart; without one, the model decides."""
    path = checkpoint.folder / "tokenizer_config.json"
    if not path.is_file():
        return True
    names = read_json(path, Code.TOKENIZER_INVALID).get("model_input_names")
    return not isinstance(names, list) or "token_type_ids" in names
