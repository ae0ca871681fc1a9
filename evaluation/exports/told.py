"""What every form of export is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.actions.records import key_of
from evaluation.errors import NotFinished
from evaluation.models import Run, RunKind, RunState
from hub.errors import InvalidInput
from hub.site import base_url

FORM = "modelguild.evaluation-record/"


@dataclass(frozen=True)
class Told:
    """A run's record with the names that other formats want. `metrics` has the main one first."""

    record: dict[str, Any]
    digest: str
    key_id: str
    benchmark_name: str
    task_id: str
    user: str
    is_public: bool
    url: str
    site: str

    @property
    def dataset(self) -> dict[str, Any]:
        return dict(self.record["benchmark"]["dataset"])

    @property
    def model(self) -> dict[str, Any]:
        return dict(self.record["model"])

    @property
    def task(self) -> str:
        return str(self.record["protocol"]["task"])

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Those that have a value."""
        return [m for m in self.record["results"]["metrics"] if m["value"] is not None]

    @property
    def record_url(self) -> str:
        return f"{self.url}/record"

    @property
    def samples_url(self) -> str:
        return f"{self.url}/predictions"


def told_of(run: Run) -> Told:
    """The run as exports see it. Raises NotFinished; InvalidInput: it is no evaluation."""
    if run.state != RunState.FINISHED:
        raise NotFinished
    record = run.record or {}
    version, model = run.benchmark_version, run.model_repo
    is_evaluation = run.kind == RunKind.EVALUATE and version is not None and model is not None
    if not is_evaluation or not str(record.get("schema")).startswith(FORM):
        raise InvalidInput("Only evaluations are exported.")
    assert version is not None
    assert model is not None
    benchmark = version.benchmark
    return Told(
        record=record,
        digest=run.record_digest,
        key_id=key_of(run)["key_id"],
        benchmark_name=benchmark.name,
        task_id=benchmark.task_id,
        is_public=not model.is_private,
        user=run.owner.username if run.owner else "",
        url=f"{base_url()}{run.url_path}",
        site=base_url(),
    )
