"""The task families: one table, and one module each.

A family is its inputs, its answer kind, its metrics and a runner. To add one:

1. where no answer kind in `ml_core.answers` fits, write a module there and name it in `KINDS`;
   its metrics go into `ml_core.metrics`, named in `METRICS_OF` of its `catalogue`;
2. write a module beside `text_classification.py` with a `prepare` of the same signature;
3. add its `Task` below.

Everything else (schema check, batches, progress, predictions, scores, `eval.yaml`, forms, the
list of benchmarks) reads this table; `evaluation.metrics` and `evaluation.task_types` hold the
words that pages say of metrics and families, and a test names the word that is lacking. Standard
library and numpy alone: the web reads it. Runners are imported when a job runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ml_core.answers import SUBMITTED_FORMS
from ml_core.data.roles import (
    ANSWER,
    ANSWERS,
    CHOICES_ROLE,
    CONTEXT_ROLE,
    ITEM_ID,
    LABEL,
    MARKS,
    MASK,
    OBJECTS,
    REFERENCES,
    SCORE,
    SUMMARY,
    TAGS,
    TARGET,
    TARGETS,
    WORDS_ROLE,
    Role,
)
from ml_core.errors import Code, UserError
from ml_core.metrics.catalogue import METRICS_OF
from ml_core.metrics.registry import Metric


@dataclass(frozen=True)
class Task:
    """What a family takes and gives.

    Args:
        inputs: columns that the model sees.
        truth: columns that only the parent of a job sees.
        answer: the answer kind, see `ml_core.answers`.
        metrics: those computed where nobody asks for others, the main one first.
        runner: module with `prepare`; empty where this site runs no model for the family, and
            takes predictions alone.
        has_labels: whether a benchmark may name labels, and a submission map its own to them.
        model_tags: pipeline tags of models that can do it, besides the family's own name.
        has_templates: whether a benchmark may say into which sentences its labels are set.
    """

    name: str
    title: str
    inputs: tuple[Role, ...]
    truth: tuple[Role, ...]
    answer: str
    metrics: tuple[str, ...]
    runner: str = ""
    has_labels: bool = False
    model_tags: tuple[str, ...] = ()
    has_templates: bool = False

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Roles that a benchmark's data must have, input first."""
        return tuple(role.name for role in (*self.inputs, *self.truth) if role.required)

    @property
    def optional_columns(self) -> tuple[str, ...]:
        """Roles that it may have."""
        roles = (*self.inputs, *self.truth, ITEM_ID, *MARKS)
        return tuple(role.name for role in roles if not role.required)

    @property
    def is_generated(self) -> bool:
        """Whether a benchmark may say how texts are generated and compared."""
        return self.answer == "text"

    @property
    def takes_predictions(self) -> bool:
        """Whether a file of predictions can be scored: what it says must mean something by itself,
        so a likelihood that nobody computed here does not count."""
        return self.answer in SUBMITTED_FORMS

    @property
    def known_metrics(self) -> Mapping[str, Metric]:
        """All metrics of its answer kind, by name."""
        return METRICS_OF[self.answer]


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="text-classification",
            title="Text classification",
            inputs=(Role("text", "text"), Role("text_pair", "text", required=False)),
            truth=(LABEL,),
            answer="label",
            metrics=("accuracy", "macro_f1"),
            runner="ml_core.evaluate.tasks.text_classification",
            has_labels=True,
        ),
        Task(
            name="image-classification",
            title="Image classification",
            inputs=(Role("image", "image"),),
            truth=(LABEL,),
            answer="label",
            metrics=("accuracy", "macro_f1"),
            runner="ml_core.evaluate.tasks.image_classification",
            has_labels=True,
        ),
        Task(
            name="token-classification",
            title="Token classification",
            inputs=(Role(WORDS_ROLE, "texts"),),
            truth=(TAGS,),
            answer="tags",
            metrics=("entity_f1", "entity_precision", "entity_recall", "tag_accuracy"),
            runner="ml_core.evaluate.tasks.token_classification",
            has_labels=True,
        ),
        Task(
            name="perplexity",
            title="Perplexity",
            inputs=(Role("text", "text"),),
            truth=(),
            answer="likelihood",
            metrics=("bits_per_byte", "byte_perplexity", "word_perplexity"),
            runner="ml_core.evaluate.tasks.perplexity",
            model_tags=("text-generation",),
        ),
        Task(
            name="fill-mask",
            title="Masked words",
            inputs=(Role("text", "text"),),
            truth=(),
            answer="likelihood",
            metrics=("bits_per_byte", "byte_perplexity", "word_perplexity"),
            runner="ml_core.evaluate.tasks.fill_mask",
        ),
        Task(
            name="multiple-choice",
            title="Multiple choice",
            inputs=(Role("question", "text"), Role(CHOICES_ROLE, "texts")),
            truth=(ANSWER,),
            answer="choice",
            metrics=("accuracy", "accuracy_norm", "brier"),
            runner="ml_core.evaluate.tasks.multiple_choice",
            model_tags=("text-generation",),
        ),
        Task(
            name="question-answering",
            title="Question answering",
            inputs=(Role("question", "text"), Role(CONTEXT_ROLE, "text")),
            truth=(ANSWERS,),
            answer="span",
            metrics=("answer_f1", "exact_match"),
            runner="ml_core.evaluate.tasks.question_answering",
        ),
        Task(
            name="sentence-similarity",
            title="Sentence similarity",
            inputs=(Role("sentence1", "text"), Role("sentence2", "text")),
            truth=(SCORE,),
            answer="similarity",
            metrics=("spearman", "pearson"),
            runner="ml_core.evaluate.tasks.sentence_similarity",
            model_tags=("feature-extraction",),
        ),
        Task(
            name="object-detection",
            title="Object detection",
            inputs=(Role("image", "image"),),
            truth=(OBJECTS,),
            answer="boxes",
            metrics=(
                "box_ap",
                "box_ap50",
                "box_ap75",
                "box_ap_small",
                "box_ap_medium",
                "box_ap_large",
            ),
            runner="ml_core.evaluate.tasks.object_detection",
            has_labels=True,
        ),
        Task(
            name="image-segmentation",
            title="Image segmentation",
            inputs=(Role("image", "image"),),
            truth=(MASK,),
            answer="mask",
            metrics=("mean_iou", "pixel_accuracy"),
            runner="ml_core.evaluate.tasks.image_segmentation",
            has_labels=True,
        ),
        Task(
            name="zero-shot-image-classification",
            title="Zero-shot image classification",
            inputs=(Role("image", "image"),),
            truth=(LABEL,),
            answer="named_label",
            metrics=("accuracy", "top5_accuracy", "macro_f1"),
            runner="ml_core.evaluate.tasks.zero_shot_image_classification",
            has_labels=True,
            has_templates=True,
        ),
        Task(
            name="summarization",
            title="Summarization",
            inputs=(Role("document", "text"),),
            truth=(SUMMARY,),
            answer="text",
            metrics=("rouge1", "rouge2", "rougeLsum"),
            runner="ml_core.evaluate.tasks.generated_text",
            model_tags=("text2text-generation", "text-generation"),
        ),
        Task(
            name="translation",
            title="Translation",
            inputs=(Role("source", "text"),),
            truth=(REFERENCES,),
            answer="text",
            metrics=("bleu", "chrf"),
            runner="ml_core.evaluate.tasks.generated_text",
            model_tags=("text2text-generation", "text-generation"),
        ),
        Task(
            name="text-generation",
            title="Text generation",
            inputs=(Role("prompt", "text"),),
            truth=(TARGETS,),
            answer="text",
            metrics=("exact_match", "answer_f1"),
            runner="ml_core.evaluate.tasks.generated_text",
            model_tags=("text2text-generation",),
        ),
        Task(
            name="tabular-classification",
            title="Tabular classification",
            inputs=(),
            truth=(LABEL,),
            answer="scored_label",
            metrics=("accuracy", "macro_f1", "roc_auc", "log_loss"),
            has_labels=True,
        ),
        Task(
            name="tabular-regression",
            title="Tabular regression",
            inputs=(),
            truth=(TARGET,),
            answer="number",
            metrics=("rmse", "mae", "r2"),
        ),
    )
}


def get_task(name: str) -> Task:
    """The task called `name`. Raises UserError `task_unknown`."""
    if name not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise UserError(Code.TASK_UNKNOWN, f"There is no task {name!r}; there are {known}.")
    return TASKS[name]
