"""A few lines of Python that make a score again from the published rows of a run."""

from __future__ import annotations

_READ = """\
import math
import pyarrow.parquet as pq

rows = pq.read_table("{file}").to_pylist()
answered = [row for row in rows if row["error"] is None]
"""
_SUM = "def total(name): return sum(row[name] for row in answered)\n"
_LINES = {
    "accuracy": 'print(sum(row["correct"] for row in answered) / len(answered))',
    "answer_f1": _SUM + 'print(total("answer_f1") / len(answered))',
    "exact_match": _SUM + 'print(total("exact_match") / len(answered))',
    "tag_accuracy": _SUM + 'print(total("n_correct") / total("n_words"))',
    "entity_f1": _SUM + 'print(2 * total("found") / (total("true") + total("answered")))',
    "entity_precision": _SUM + 'print(total("found") / total("answered"))',
    "entity_recall": _SUM + 'print(total("found") / total("true"))',
    "bits_per_byte": _SUM + 'print(-total("log_likelihood") / math.log(2) / total("n_bytes"))',
    "byte_perplexity": _SUM + 'print(math.exp(-total("log_likelihood") / total("n_bytes")))',
    "word_perplexity": _SUM + 'print(math.exp(-total("log_likelihood") / total("n_words")))',
}


def recompute_code(file: str, metric: str, value: float | None) -> str:
    """Code that prints the metric, with the value it should print; else the rows alone."""
    line = _LINES.get(metric, "print(len(answered), rows[0])")
    uses_math = "math." in line
    read = _READ.format(file=file) if uses_math else _READ.format(file=file).partition("\n")[2]
    expected = f"  # {value!r}" if metric in _LINES and value is not None else ""
    return f"{read}{line}{expected}"
