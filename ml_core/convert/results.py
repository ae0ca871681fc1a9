"""What a conversion answers: frozen, versioned, JSON both ways."""

import json
from dataclasses import dataclass
from pathlib import Path

from ml_core.convert.specs import ConversionSpec
from ml_core.records import from_json, to_json
from ml_core.results import AdapterFacts, PredictionsFile, Scores
from ml_core.statistics.comparison import Comparison
from ml_core.train.results import OutputFile

CONVERSION_RESULT_VERSION = 1


@dataclass(frozen=True)
class Parity:
    """How far the outcome is from what it was made from.

    `compared` says what was held against what. Differences are absolute, over `n_values` numbers
    in `n_inputs` inputs; `scale` is the largest size among the numbers expected. `tolerance` is
    what the largest difference may be, None where the figures are told and not judged.
    `same_choice` is the share of outputs whose largest value stands in the same place.
    """

    compared: str
    n_inputs: int
    n_values: int
    max_difference: float
    mean_difference: float
    scale: float
    tolerance: float | None
    same_choice: float | None = None

    @property
    def holds(self) -> bool:
        return self.tolerance is None or self.max_difference <= self.tolerance


@dataclass(frozen=True)
class Cost:
    """What a benchmark says of the outcome: scores before and after, and their difference item by
    item (the candidate is the outcome)."""

    metric: str
    before: Scores
    after: Scores
    comparison: Comparison


@dataclass(frozen=True)
class ConversionResult:
    """One conversion.

    `sources` are the files read, with their digests; `files` make up the folder `folder` below the
    output folder, and `made` names those of them that are new. `cost` is None where no benchmark
    was named, or where what is right is not at hand; then `predictions` hold the answers.
    """

    conversion: str
    spec: ConversionSpec
    sources: tuple[OutputFile, ...]
    base_sources: tuple[OutputFile, ...]
    folder: str
    files: tuple[OutputFile, ...]
    made: tuple[str, ...]
    architecture: str
    parameters: int
    dtype: str
    source_format: str
    bytes_before: int
    bytes_after: int
    parity: Parity
    notes: tuple[str, ...]
    environment: dict[str, str]
    seconds: dict[str, float]
    adapter: AdapterFacts | None = None
    cost: Cost | None = None
    predictions: dict[str, PredictionsFile] | None = None
    version: int = CONVERSION_RESULT_VERSION

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "ConversionResult":
        """Raises RecordError (a ValueError) or UserError for a value that is no result."""
        return from_json(cls, value)

    def write(self, path: Path) -> None:
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
        path.write_text(text, encoding="utf-8")
