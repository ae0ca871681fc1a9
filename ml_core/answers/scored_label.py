"""The answer is one label out of several, with probabilities where its maker gives them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ml_core.answers.label import LabelKind
from ml_core.data.labels import Truth
from ml_core.data.predictions import MISSING, Predictions
from ml_core.metrics import Setting, count_cells
from ml_core.metrics.curves import Sure, log_losses
from ml_core.results import Scores
from ml_core.scoring import class_scores, confusion, in_top5


class ScoredLabelKind(LabelKind):
    """As a label; the published rows hold besides what the metrics of probabilities are read from:
    `target_index`, `likelihood` (of each label in order) and `log_loss`, null without any."""

    name = "scored_label"

    def samples(self, predictions: Predictions, truth: Truth) -> pa.Table:
        table = super().samples(predictions, truth)
        metadata = table.schema.metadata
        likelihood = table.column("probabilities")
        losses: list[float | None] = [None] * len(truth.item_ids)
        if predictions.probabilities.shape[1]:
            there = np.flatnonzero(predictions.label_index != MISSING)
            given = predictions.probabilities[there].astype(np.float64)
            for at, loss in zip(there, log_losses(given, truth.label_index[there]), strict=True):
                losses[at] = float(loss)
        table = table.append_column("target_index", pa.array(truth.label_index))
        table = table.append_column("likelihood", likelihood)
        table = table.append_column("log_loss", pa.array(losses, pa.float64()))
        return table.replace_schema_metadata(metadata)

    def score(
        self, predictions: Predictions, truth: Truth, *, metrics: Sequence[str], setting: Setting
    ) -> Scores:
        if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
            raise ValueError("predictions and truth are not of the same items and labels")
        answered = predictions.label_index != MISSING
        right = truth.label_index[answered]
        cells = count_cells(right, predictions.label_index[answered], len(truth.labels))
        top5 = in_top5(predictions, truth)
        if top5 is not None:
            cells = replace(cells, n_top5=int(top5[answered].sum()))
        sure = Sure(cells, right, predictions.probabilities[answered].astype(np.float64))
        values = tuple(self.metric(name).compute(sure, setting) for name in metrics)
        return Scores(values, class_scores(cells, truth.labels), confusion(cells, truth.labels))


KIND = ScoredLabelKind()
