"""What pages say of each metric; the numbers themselves come from `ml_core.metrics`."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class MetricInfo:
    name: str
    title: str | Promise
    explanation: str | Promise
    direction: str = "higher"


METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        MetricInfo("accuracy", _("Accuracy"), _("Share of items answered right.")),
        MetricInfo(
            "macro_f1",
            _("Macro F1"),
            _("F1 of each label, averaged with equal weight, so that rare labels count as much."),
        ),
    )
}


def info_of(name: str) -> MetricInfo:
    """What is known of the metric; an unknown one is called by its name."""
    return METRICS.get(name) or MetricInfo(name, name, "")
