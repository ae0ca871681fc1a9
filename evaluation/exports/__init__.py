"""A finished evaluation in the forms that others read. Each is made from its signed record.

To add one: a module with a function from `Told` to text, and a line in `FORMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from evaluation.exports import eval_results, every_eval_ever, lm_eval, model_index
from evaluation.exports.told import Told, told_of

__all__ = ["FORMS", "Export", "Told", "told_of"]

JSON = "application/json"
YAML = "application/yaml"


@dataclass(frozen=True)
class Export:
    """One form: what it is called, what its file is called, and who makes it."""

    title: str | Promise
    ending: str
    content_type: str
    write: Callable[[Told], str]


FORMS: dict[str, Export] = {
    "eval-results": Export(_("Hub results file"), "eval-results.yaml", YAML, eval_results.write),
    "model-index": Export(_("Model card block"), "model-index.yaml", YAML, model_index.write),
    "every-eval-ever": Export(
        _("Every Eval Ever"), "every-eval-ever.json", JSON, every_eval_ever.write
    ),
    "lm-eval": Export(_("lm-eval results"), "results.json", JSON, lm_eval.write),
}
