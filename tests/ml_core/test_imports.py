"""What importing the light half of the library brings along."""

import subprocess
import sys

import pytest

LIGHT = [
    "ml_core",
    "ml_core.specs",
    "ml_core.results",
    "ml_core.errors",
    "ml_core.metrics",
    "ml_core.metrics.calibration",
    "ml_core.statistics",
    "ml_core.comparing",
    "ml_core.assessment",
    "ml_core.compare",
    "ml_core.convert",
    "ml_core.convert.costs",
    "ml_core.load.adapter_files",
    "ml_core.published",
    "ml_core.perturb.text",
    "ml_core.perturb.audio",
    "ml_core.scoring",
    "ml_core.seeding",
    "ml_core.device",
    "ml_core.data.withhold",
    "ml_core.data.predictions",
    "ml_core.answers.label",
    "ml_core.answers.tags",
    "ml_core.answers.likelihood",
    "ml_core.answers.choice",
    "ml_core.answers.similarity",
    "ml_core.answers.span",
    "ml_core.answers.boxes",
    "ml_core.answers.mask",
    "ml_core.answers.named_label",
    "ml_core.answers.text",
    "ml_core.generation",
    "ml_core.load.checkpoint",
    "ml_core.evaluate",
    "ml_core.evaluate.evaluation",
    "ml_core.train.specs",
    "ml_core.train.results",
    "ml_core.train.events",
    "ml_core.train.recipes",
    "ml_core.train.checking",
    "ml_core.train.checkpoints",
    "ml_core.train.finetuning",
    "ml_core.finetune",
]


@pytest.mark.parametrize("module", LIGHT)
def test_the_light_half_imports_neither_torch_nor_anything_else_that_is_slow(module):
    heavy = ("torch", "transformers", "sklearn", "scipy", "pandas", "datasets", "django", "PIL")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


def test_evaluate_comes_from_the_top():
    code = (
        "from ml_core import evaluate; print(evaluate.run.__name__, 'perplexity' in evaluate.TASKS)"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "run True"
