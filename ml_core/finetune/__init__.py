"""Fine-tuning of a base model on a data set.

    from ml_core import finetune
    result = finetune.run(spec, "out")

`python -m ml_core.finetune SPEC OUT` does the same as a job of its own. Importing this package
imports no torch, so that the platform can read the table of recipes; a run does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_core.train.recipes import RECIPES, Recipe, get_recipe
from ml_core.train.results import FinetuneResult
from ml_core.train.specs import FinetuneSpec, Training

if TYPE_CHECKING:
    from ml_core.train.finetuning import RESULT_FILE, run
    from ml_core.train.session import CHECKPOINTS

__all__ = [
    "CHECKPOINTS",
    "RECIPES",
    "RESULT_FILE",
    "FinetuneResult",
    "FinetuneSpec",
    "Recipe",
    "Training",
    "get_recipe",
    "run",
]


def __getattr__(name: str) -> Any:  # what the module has
    if name not in ("CHECKPOINTS", "RESULT_FILE", "run"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ml_core.train.finetuning"), name)
