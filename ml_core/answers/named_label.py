"""The answer is one label out of several that the model knows by their names alone."""

import pyarrow as pa

from ml_core.answers.label import LabelKind
from ml_core.data.labels import LabelMap, Truth, label_names
from ml_core.data.roles import LABEL_ROLE
from ml_core.data.schema import Items
from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint
from ml_core.specs import EvaluationSpec


class NamedLabelKind(LabelKind):
    """A value collected for an item is a score for each label of the data, `(labels,)`."""

    name = "named_label"

    def read_truth(self, items: Items, spec: EvaluationSpec) -> Truth:
        column = items.truth_column(LABEL_ROLE)
        is_named = spec.labels or items.names.get(LABEL_ROLE)
        if column is not None and pa.types.is_integer(column.type) and not is_named:
            raise UserError(
                Code.UNKNOWN_LABEL,
                "The labels are numbers and nothing names them, but their names are what the model "
                "is given: list them under labels in eval.yaml, in the order of the numbers.",
            )
        return super().read_truth(items, spec)

    def fit(self, _checkpoint: Checkpoint, items: Items, spec: EvaluationSpec) -> LabelMap:
        """The model has no labels of its own: each of the data's stands for itself."""
        if spec.label_map:
            raise UserError(
                Code.SPEC_INVALID,
                "A label map was given, but the model has no labels of its own here: it is given "
                "the names of the data's labels. Leave the map out.",
            )
        labels = label_names(items, spec.labels)
        return LabelMap(labels, labels, tuple(range(len(labels))))


KIND = NamedLabelKind()
