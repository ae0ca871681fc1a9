"""Names of metrics in lm-evaluation-harness and inspect-ai, and ours."""

from __future__ import annotations

LM_EVAL: dict[str, str] = {
    "accuracy": "acc",
    "accuracy_norm": "acc_norm",
    "brier": "brier_score",
    "macro_f1": "f1",
    "answer_f1": "f1",
}
"""Ours to theirs; a name that is not here is the same in both."""


def lm_eval_name(ours: str) -> str:
    return LM_EVAL.get(ours, ours)


def our_name(theirs: str, known: list[str]) -> str | None:
    """Which of the metrics `known` to a benchmark another program's name stands for, if any."""
    name = theirs.strip().lower()
    if name in known:
        return name
    return next((ours for ours in known if LM_EVAL.get(ours) == name), None)
