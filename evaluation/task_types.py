"""What pages call the task families; what they are is in `ml_core.evaluate.tasks`."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ml_core.evaluate.tasks import TASKS

TITLES: dict[str, str | Promise] = {
    "text-classification": _("Text classification"),
    "image-classification": _("Image classification"),
    "token-classification": _("Token classification"),
    "perplexity": _("Perplexity"),
    "fill-mask": _("Masked words"),
    "multiple-choice": _("Multiple choice"),
    "question-answering": _("Question answering"),
    "sentence-similarity": _("Sentence similarity"),
    "object-detection": _("Object detection"),
    "image-segmentation": _("Image segmentation"),
    "zero-shot-image-classification": _("Zero-shot image classification"),
    "summarization": _("Summarization"),
    "translation": _("Translation"),
    "text-generation": _("Text generation"),
    "tabular-classification": _("Tabular classification"),
    "tabular-regression": _("Tabular regression"),
}


def title_of(task_type: str) -> str:
    """The family in the reader's language; one we know no words for by its own title or name."""
    task = TASKS.get(task_type)
    return str(TITLES.get(task_type) or (task.title if task else task_type))


def choices() -> list[tuple[str, str]]:
    """All families for a form, in the order of the table."""
    return [(name, title_of(name)) for name in TASKS]


def fits(task_type: str, pipeline_tag: str) -> bool:
    """Whether a model with this pipeline tag is made for tasks of this type."""
    task = TASKS.get(task_type)
    return pipeline_tag == task_type or (task is not None and pipeline_tag in task.model_tags)
