"""The job of a worker: a stranger's file read in the cage, and written as a model's answers are."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from ml_core.answers import load_kind
from ml_core.data.schema import read_items
from ml_core.errors import Code, UserError
from ml_core.evaluate.events import OnEvent, ignore
from ml_core.evaluate.tasks import get_task
from ml_core.predictions.forms import predictions_of
from ml_core.predictions.reading import MAX_BYTES, read_submitted
from ml_core.records import RecordError, from_json, to_json
from ml_core.results import PredictionsFile
from ml_core.specs import EvaluationSpec, read_json_spec

PREDICTIONS_FILE = "predictions.parquet"


@dataclass(frozen=True)
class PredictionsSpec:
    """`file` is what was handed in; `asked` says which items and labels it is to answer: its data
    are the inputs, without what is right."""

    file: str
    asked: EvaluationSpec
    max_bytes: int = field(default=MAX_BYTES)

    @classmethod
    def read(cls, path: Path) -> "PredictionsSpec":
        """The spec in a JSON file. Raises UserError `spec_invalid`."""
        try:
            return from_json(cls, read_json_spec(path))
        except RecordError as error:
            raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {error}.") from error

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(to_json(self), ensure_ascii=False), encoding="utf-8")


def run(
    spec: PredictionsSpec, out_dir: str | os.PathLike[str], on_event: OnEvent = ignore
) -> PredictionsFile:
    """Reads and checks the file; what it says lies in `out_dir` afterwards as a model's would.

    Raises:
        UserError: what is wrong with it, and where.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    on_event({"event": "phase", "phase": "running"})
    task = get_task(spec.asked.task)
    items = read_items(spec.asked.data, task.inputs, ())
    rows = read_submitted(Path(spec.file), max_rows=len(items), max_bytes=spec.max_bytes)
    found = predictions_of(rows, items, spec.asked)
    on_event({"event": "progress", "done": len(items), "total": len(items), "per_second": None})
    return load_kind(task.answer).write(found, out / PREDICTIONS_FILE)
