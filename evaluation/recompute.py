"""Lines to paste that check a run: its record and samples, or one score made again."""

from __future__ import annotations

from evaluation.models import Run
from hub.site import base_url

_LINES = {
    "accuracy": ("correct", 'total("correct") / len(answered)'),
    "top5_accuracy": ("in_top5", 'total("in_top5") / len(answered)'),
    "pixel_accuracy": ("n_correct", 'total("n_correct") / total("n_pixels")'),
    "tag_accuracy": ("n_correct", 'total("n_correct") / total("n_words")'),
    "entity_f1": ("found", '2 * total("found") / (total("true") + total("answered"))'),
    "entity_precision": ("found", 'total("found") / total("answered")'),
    "entity_recall": ("found", 'total("found") / total("true")'),
    "bits_per_byte": ("log_likelihood", '-total("log_likelihood") / log(2) / total("n_bytes")'),
    "byte_perplexity": ("log_likelihood", 'exp(-total("log_likelihood") / total("n_bytes"))'),
    "word_perplexity": ("log_likelihood", 'exp(-total("log_likelihood") / total("n_words"))'),
    "answer_f1": ("answer_f1", 'total("answer_f1") / len(answered)'),
    "rouge1": ("rouge1", 'total("rouge1") / len(answered)'),
    "rouge2": ("rouge2", 'total("rouge2") / len(answered)'),
    "rougeL": ("rougeL", 'total("rougeL") / len(answered)'),
    "rougeLsum": ("rougeLsum", 'total("rougeLsum") / len(answered)'),
    "exact_match": ("exact_match", 'total("exact_match") / len(answered)'),
}
"""By metric: a column that is null where there is no answer, and the score over the rest."""


def recompute_code(file: str, metric: str, value: float | None) -> str:
    """Code that prints the metric, and the number it should print; else how many rows there are."""
    column, formula = _LINES.get(metric, ("item_id", "len(answered)"))
    lines = [
        "from math import exp, log" if "log(" in formula or "exp(" in formula else "",
        "import pyarrow.parquet as pq",
        "",
        f'rows = pq.read_table("{file}").to_pylist()',
        f'answered = [row for row in rows if row["{column}"] is not None]',
        "def total(name): return sum(row[name] for row in answered)" if "total(" in formula else "",
        f"print({formula})",
    ]
    expected = f"  # {value!r}" if metric in _LINES and value is not None else ""
    kept = [line for at, line in enumerate(lines) if line or at == 2]
    return "\n".join(kept) + expected


def verify_lines(run: Run) -> str:
    """Shell lines that fetch a run's files and this site's keys, and check them offline."""
    site, name = base_url(), str(run.pk)
    record, rows = f"{name}-record.json", f"{name}-predictions.parquet"
    fetched = {
        record: f"/runs/{name}/record",
        rows: f"/runs/{name}/predictions",
        "keys.json": "/.well-known/modelguild-keys.json",
    }
    lines = [f"curl -L -o {file} {site}{path}" for file, path in fetched.items()]
    lines.append(f"python -m ml_core.verify {record} --key keys.json --samples {rows}")
    return "\n".join(lines)
