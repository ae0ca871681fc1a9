"""What a conversion is asked to do: frozen, versioned, JSON both ways."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ml_core.convert.catalogue import get_conversion
from ml_core.errors import Code, UserError
from ml_core.records import RecordError, from_json, to_json
from ml_core.specs import EvaluationSpec, ModelSpec, read_json_spec

SPEC_VERSION = 1
SCORED_TASKS = ("text-classification", "token-classification", "image-classification")
"""Tasks whose answers can be computed by onnxruntime too: one pass, one tensor of scores."""

OutputDtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class ConversionSpec:
    """One conversion.

    Args:
        conversion: of `CONVERSIONS`.
        model: its `base` is that of an adapter that is merged.
        file: which file at the top of the folder, where several could be meant.
        dtype: of the new weights where the old ones are dequantised or merged; None keeps theirs,
            or takes bfloat16 for GGUF. A pickle always keeps its own.
        is_whole: make a folder that stands alone, with config, tokenizer and card; else only what
            is added to the folder that was converted.
        evaluation: what an int8 model is scored on, before and after. Its `model` is replaced.
        name: of the new model, for its card.
    """

    conversion: str
    model: ModelSpec
    file: str | None = None
    dtype: OutputDtype | None = None
    is_whole: bool = True
    evaluation: EvaluationSpec | None = None
    name: str | None = None
    seed: int = 0
    threads: int | None = None
    max_parameters: int = 2_000_000_000
    version: int = SPEC_VERSION

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid` where the parts do not go together."""
        conversion = get_conversion(self.conversion)
        _require(self.version == SPEC_VERSION, f"version must be {SPEC_VERSION}.")
        _require(0 <= self.seed < 2**32, "seed must be from 0 to 2^32 - 1.")
        _require(self.max_parameters > 0, "max_parameters must be above 0.")
        _require(self.file is None or "/" not in self.file, "file must lie at the top level.")
        has_base = self.model.base is not None
        _require(has_base == conversion.needs_base, "model.base is for the conversion merge alone.")
        _require(self.is_whole or conversion.may_stay, "a merged model needs a place of its own.")
        keeps = self.conversion in ("onnx", "int8")
        _require(self.dtype is None or not keeps, "dtype is for safetensors and merge alone.")
        if self.evaluation is not None:
            tasks = ", ".join(SCORED_TASKS)
            _require(self.conversion == "int8", "evaluation is for the conversion int8 alone.")
            _require(self.evaluation.task in SCORED_TASKS, f"int8 models are scored on: {tasks}.")

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "ConversionSpec":
        """The spec in a JSON value. Raises UserError `spec_invalid`."""
        try:
            return from_json(cls, value)
        except RecordError as error:
            raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {error}.") from error

    @classmethod
    def read(cls, path: Path) -> "ConversionSpec":
        """The spec in a JSON file. Raises UserError `spec_invalid`."""
        return cls.from_json(read_json_spec(path))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1), encoding="utf-8")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {problem}")
