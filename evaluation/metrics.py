"""What pages say of each metric; the numbers themselves come from `ml_core.metrics`."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ml_core.directions import Direction
from ml_core.metrics.catalogue import METRICS_OF
from ml_core.metrics.registry import Metric


@dataclass(frozen=True)
class MetricInfo:
    name: str
    title: str | Promise
    explanation: str | Promise

    @property
    def direction(self) -> Direction:
        """Which way is better, as the library says."""
        metric = self._metric
        return metric.direction if metric is not None else "higher"

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1, so that a bar can show it by itself."""
        metric = self._metric
        return metric is None or (metric.low, metric.high) == (0.0, 1.0)

    def is_within(self, value: float) -> bool:
        """Whether the metric can have this value; of an unknown one nobody knows."""
        metric = self._metric
        low, high = (metric.low, metric.high) if metric is not None else (None, None)
        return (low is None or low <= value) and (high is None or value <= high)

    @property
    def _metric(self) -> Metric | None:
        found = (known[self.name] for known in METRICS_OF.values() if self.name in known)
        return next(found, None)


METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        MetricInfo("accuracy", _("Accuracy"), _("Share of items answered right.")),
        MetricInfo(
            "macro_f1",
            _("Macro F1"),
            _("F1 of each label, averaged with equal weight, so that rare labels count as much."),
        ),
        MetricInfo(
            "top5_accuracy",
            _("Top-5 accuracy"),
            _("Share of items whose right label is among the five likeliest."),
        ),
        MetricInfo("entity_f1", _("Entity F1"), _("F1 of entities, type and words right.")),
        MetricInfo(
            "entity_precision",
            _("Entity precision"),
            _("Share of found entities that are right."),
        ),
        MetricInfo(
            "entity_recall", _("Entity recall"), _("Share of the true entities that were found.")
        ),
        MetricInfo(
            "entity_macro_f1",
            _("Entity macro F1"),
            _("F1 of each type of entity, averaged with equal weight."),
        ),
        MetricInfo("tag_accuracy", _("Tag accuracy"), _("Share of words tagged right.")),
        MetricInfo(
            "bits_per_byte",
            _("Bits per byte"),
            _("How surprising the model finds the text; lower is better."),
        ),
        MetricInfo(
            "byte_perplexity",
            _("Byte perplexity"),
            _("Among how many bytes, as it were, the model wavers; lower is better."),
        ),
        MetricInfo(
            "word_perplexity",
            _("Word perplexity"),
            _("Among how many words, as it were, the model wavers; lower is better."),
        ),
        MetricInfo(
            "accuracy_norm",
            _("Accuracy by byte"),
            _("Share answered right when each answer's likelihood is divided by its length."),
        ),
        MetricInfo(
            "brier",
            _("Brier score"),
            _("How far the probabilities of the answers are from the truth; lower is better."),
        ),
        MetricInfo(
            "answer_f1", _("Answer F1"), _("How many words an answer shares with a right one.")
        ),
        MetricInfo(
            "exact_match", _("Exact match"), _("Share of answers that are word for word right.")
        ),
        MetricInfo(
            "spearman",
            _("Spearman"),
            _("Whether the model puts pairs in the same order as people do."),
        ),
        MetricInfo(
            "pearson", _("Pearson"), _("Whether the model's similarities follow people's scores.")
        ),
        MetricInfo(
            "box_ap",
            _("Box AP"),
            _("Average precision of the boxes, over overlaps of .50 to .95, as COCO has it."),
        ),
        MetricInfo(
            "box_ap50", _("Box AP50"), _("Average precision where half an overlap is enough.")
        ),
        MetricInfo(
            "box_ap75", _("Box AP75"), _("Average precision where boxes must overlap by .75.")
        ),
        MetricInfo(
            "box_ap_small",
            _("Box AP small"),
            _("Average precision on objects of up to 32 x 32 pixels."),
        ),
        MetricInfo(
            "box_ap_medium",
            _("Box AP medium"),
            _("Average precision on objects of 32 x 32 to 96 x 96 pixels."),
        ),
        MetricInfo(
            "box_ap_large",
            _("Box AP large"),
            _("Average precision on objects of at least 96 x 96 pixels."),
        ),
        MetricInfo(
            "mean_iou",
            _("Mean IoU"),
            _("What the answered and the true pixels of a label share, averaged over labels."),
        ),
        MetricInfo("pixel_accuracy", _("Pixel accuracy"), _("Share of pixels answered right.")),
        MetricInfo("rouge1", "ROUGE-1", _("How many words a text shares with a right one.")),
        MetricInfo(
            "rouge2", "ROUGE-2", _("How many pairs of words a text shares with a right one.")
        ),
        MetricInfo(
            "rougeL",
            "ROUGE-L",
            _("How many words a text shares with a right one in the same order."),
        ),
        MetricInfo(
            "rougeLsum",
            "ROUGE-Lsum",
            _("Words shared in the same order, sentence by sentence (one a line)."),
        ),
        MetricInfo(
            "bleu",
            "BLEU",
            _("How many runs of one to four words are those of a right text, from 0 to 100."),
        ),
        MetricInfo(
            "chrf",
            "chrF++",
            _("How many runs of letters and words are shared with a right text, from 0 to 100."),
        ),
        MetricInfo(
            "roc_auc",
            "ROC AUC",
            _("How often a right item gets a higher probability than a wrong one."),
        ),
        MetricInfo(
            "log_loss", _("Log loss"), _("Minus the logarithm of the right label's probability.")
        ),
        MetricInfo("rmse", "RMSE", _("Root of the mean square error, in the unit of the target.")),
        MetricInfo("mae", "MAE", _("Mean distance from the right number.")),
        MetricInfo("r2", "R²", _("Share of the variance that is explained.")),
    )
}


def info_of(name: str) -> MetricInfo:
    """What is known of the metric; an unknown one is called by its name."""
    return METRICS.get(name) or MetricInfo(name, name, "")
