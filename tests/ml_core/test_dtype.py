"""bfloat16 on a CPU: every family computes in it and says so."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ml_core import evaluate
from ml_core.evaluate.tasks import TASKS
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.evaluation import test_families as families
from tests.support.tiny_models import LABELS, SENTENCES, save_text_classifier

LABELLED = [{"text": text, "label": at % 2} for at, text in enumerate(SENTENCES)]
CASES = [
    *((task, rows, save) for task, _, rows, save in families.FAMILIES),
    ("text-classification", LABELLED, save_text_classifier),
]
COLUMNS = {
    "token-classification": {"tokens": "words"},
    "summarization": {"document": "text", "summary": "short"},
}
NAMES = {task: tuple(yaml.safe_load(text)) for task, text in families.LABELS.items()}
NAMES["text-classification"] = LABELS


@pytest.mark.parametrize(("task", "rows", "save"), CASES)
def test_every_family_computes_in_bfloat16_and_says_so(task, rows, save, tmp_path):
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    data = DataSpec((str(tmp_path / "d.parquet"),), COLUMNS.get(task, {}))
    engine = EngineSpec(dtype="bfloat16", device="cpu", threads=1)
    model = ModelSpec(str(save(tmp_path / "m")))
    spec = EvaluationSpec(task, model, data, NAMES.get(task), engine=engine)
    if TASKS[task].is_generated:
        spec = dataclasses.replace(
            spec, generation=dataclasses.replace(spec.generation, max_new_tokens=4)
        )
    result = evaluate.run(spec, tmp_path / "out")
    assert result.execution.dtype == "bfloat16"
    assert result.execution.n_errors == 0
    assert all(metric.n == len(rows) for metric in result.scores.metrics)
