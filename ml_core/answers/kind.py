"""What an answer kind does, from the truth of a data set to the scores of a run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_core.data.schema import Items
from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint
from ml_core.metrics import Setting
from ml_core.metrics.catalogue import METRICS_OF
from ml_core.metrics.registry import Metric
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec


class Answered(Protocol):
    """What predictions of every kind have: one entry an item, in the order of the data set.

    `errors` says why an item has none; `truncated` which inputs were cut.
    """

    @property
    def item_ids(self) -> tuple[str, ...]: ...
    @property
    def truncated(self) -> NDArray[np.bool_]: ...
    @property
    def errors(self) -> tuple[str | None, ...]: ...
    @property
    def n_missing(self) -> int: ...


class Truth(Protocol):
    """What is right, of every kind; `item_ids` in the order of the data set."""

    @property
    def item_ids(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Collected:
    """What came out of the model by item, in the order of the data set.

    A value is what the kind says it is, None where `errors` (by item number) says why.
    """

    values: Sequence[Any]
    errors: Mapping[int, str]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True)
class LabelFacts:
    """The labels of the data and where the model's lead; empty where there are none."""

    labels: tuple[str, ...] = ()
    label_map: dict[str, str | None] = field(default_factory=dict)


P = TypeVar("P", bound=Answered)
T = TypeVar("T", bound=Truth)
F = TypeVar("F")


class AnswerKind(ABC, Generic[P, T, F]):
    """P are its predictions, T its truth, F what it settles about a model before it is loaded."""

    name: str

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Its metrics by name."""
        return METRICS_OF[self.name]

    def metric(self, name: str) -> Metric:
        """The metric called `name`. Raises UserError `metric_unknown`."""
        if name not in self.metrics:
            known = ", ".join(sorted(self.metrics))
            raise UserError(
                Code.METRIC_UNKNOWN, f"There is no metric {name!r}; there are {known}.", metric=name
            )
        return self.metrics[name]

    @abstractmethod
    def has_truth(self, items: Items) -> bool:
        """Whether what is right can be read from `items`; a job in the cage cannot."""

    @abstractmethod
    def read_truth(self, items: Items, spec: EvaluationSpec) -> T:
        """What is right for each item. Raises UserError where the columns do not say."""

    def for_child(self, spec: EvaluationSpec, _truth: T) -> EvaluationSpec:
        """`spec` with what a job must know of the truth, and no more."""
        return spec

    @abstractmethod
    def fit(self, checkpoint: Checkpoint, items: Items, spec: EvaluationSpec) -> F:
        """What of the model's config must suit the data. Raises UserError where it does not."""

    def label_facts(self, _fit: F) -> LabelFacts:
        return LabelFacts()

    @abstractmethod
    def predictions(self, collected: Collected, items: Items, fit: F) -> P:
        """What came out of the model as predictions."""

    @abstractmethod
    def write(self, predictions: P, path: Path) -> PredictionsFile:
        """Write the predictions as parquet."""

    @abstractmethod
    def read(self, path: Path, truth: T) -> P:
        """The predictions in a file that a caged child wrote, in the order of the truth.

        Nothing in the file is believed.

        Raises:
            PlatformError: `result_invalid`.
        """

    @abstractmethod
    def samples(self, predictions: P, truth: T) -> pa.Table:
        """The published rows: what was answered beside what is right, a score in each."""

    @abstractmethod
    def score(
        self, predictions: P, truth: T, *, metrics: Sequence[str], setting: Setting
    ) -> Scores:
        """The metrics over the items that have an answer. Raises UserError `metric_unknown`."""

    def label_names(self, _truth: T) -> tuple[str, ...]:
        """The labels of the data, empty where there are none."""
        return ()
