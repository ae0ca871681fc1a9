"""Runs that score a file of predictions: the cage reads it, we score what it says."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from django.conf import settings

from evaluation.actions.leases import Progress
from evaluation.errors import JobFailed
from evaluation.submitted_files import file_key
from evaluation.worker.background import Background
from evaluation.worker.evaluating import Evaluation, Said, digests_of
from evaluation.worker.inputs import Job, prepare_job
from evaluation.worker.work import as_failure
from hub.site import store
from hub.storage.errors import StorageError
from ml_core.errors import CoreError
from ml_core.predictions.baselines import write_baseline
from ml_core.predictions.job import PredictionsSpec


class Submitted(Evaluation):
    """Predictions of a system on a benchmark version.

    What was handed in is untrusted bytes: only the child in the cage opens the file, and what it
    makes of it is read as strictly as what a model answered.
    """

    verb: ClassVar[str] = "predictions"

    def prepare(self) -> None:
        desk, space, spec = self.desk, self.desk.space, self.desk.run.spec
        desk.keeper.report(Progress(phase="fetching"))
        dataset = desk.source("dataset")

        def prepare() -> Job:
            return prepare_job(
                spec,
                dataset=dataset,
                model=space.model,
                inputs=space.inputs,
                hidden=space.hidden,
                memory=settings.WORKER_DIR / "splits",
            )

        self.job = desk.beside(prepare)
        self.digests = Background(partial(digests_of, space, self.job))
        given = spec["predictions"]
        path = space.stage / f"submitted{given.get('ending', '.jsonl')}"
        if given.get("computed"):
            withheld = self.job.withheld
            try:
                write_baseline(given["computed"], self.job.kind, withheld.truth, path)
            except CoreError as error:
                raise as_failure(error) from error
        else:
            self._fetch(path)
        asked = PredictionsSpec(
            str(path), self.job.withheld.spec, max_bytes=max(path.stat().st_size, 1)
        )
        asked.write(space.spec)

    def said(self) -> Said:
        """Nothing ran here that could tell."""
        return Said({}, {}, {}, {})

    def _fetch(self, path: Path) -> None:
        try:
            with path.open("wb") as target:
                for chunk in store().stream(file_key(self.desk.run)):
                    target.write(chunk)
        except StorageError as error:
            text = "The predictions file could not be read from the store."
            raise JobFailed("system", "storage_unavailable", text) from error
