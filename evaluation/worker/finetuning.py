"""Runs that fine-tune: base and data go in, curves and checkpoints come by, a model comes out."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.utils import timezone

from evaluation.actions.leases import MadeFiles, Outcome, Progress
from evaluation.actions.records import sign_record
from evaluation.actions.training import drop_points_after
from evaluation.actions.training_record import Trained, build_training_record
from evaluation.errors import JobFailed
from evaluation.finetune_spec import core_finetune_spec
from evaluation.stream import Event, parse_training_event
from evaluation.verdicts import Outcome as JobOutcome
from evaluation.worker.background import Background
from evaluation.worker.curves import Curves
from evaluation.worker.evaluating import score_rows
from evaluation.worker.fetch import fetch_model
from evaluation.worker.inputs import fetch_split
from evaluation.worker.keeping import (
    SAFE_SUFFIXES,
    NotWhole,
    StoredFile,
    as_stored_failure,
    keep_files,
)
from evaluation.worker.shelf import CHECKPOINTS, Shelf, bring_back
from evaluation.worker.work import (
    Desk,
    as_failure,
    claim_folder,
    digests_below,
    job_facts,
    relay_progress,
    worker_facts,
)
from hub.storage.errors import StorageError
from ml_core.data.rows import open_plain_file, sha256_of
from ml_core.errors import CoreError
from ml_core.train.events import (
    CheckpointSaved,
    Evaluated,
    PhaseBegins,
    from_line,
)
from ml_core.train.events import Progress as TrainingProgress
from ml_core.train.recipes import get_recipe
from ml_core.train.results import FinetuneResult

RESULT_FILE = "result.json"
MAX_RESULT_BYTES = 64 << 20


class Finetuning:
    """A base model and a data set become a model."""

    verb: ClassVar[str] = "finetune"

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.curves = Curves(desk.run)
        self.shelf: Shelf | None = None
        self.data_files: dict[str, Path] = {}
        self.digests: Background[tuple[dict[str, str], dict[str, str]]] | None = None
        self.is_training = False

    @staticmethod
    def parse(line: bytes) -> Event | None:
        return parse_training_event(line)

    def prepare(self) -> None:
        desk, space, spec = self.desk, self.desk.space, self.desk.run.spec
        desk.keeper.report(Progress(phase="fetching"))
        model, dataset = desk.source("model"), desk.source("dataset")
        memory = settings.WORKER_DIR / "splits"

        def fetch() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
            fetch_model(model, space.model)
            files: dict[str, list[str]] = {}
            labels: dict[str, list[str]] = {}
            for name, split in spec["splits"].items():
                if split:
                    found = fetch_split(
                        dataset,
                        config=spec["config"],
                        split=split,
                        folder=space.inputs / name,
                        memory=memory,
                    )
                    files[name] = [str(path) for path in found.paths]
                    self.data_files |= found.originals
                    labels |= found.labels
            return files, labels

        files, labels = desk.beside(fetch)
        resumed = bring_back(desk.run, space.inputs / CHECKPOINTS)
        drop_points_after(run=desk.run, step=-1 if resumed is None else resumed)
        try:
            asked = core_finetune_spec(
                spec,
                model=str(space.model),
                files=files,
                labels=self._labels(labels),
                resume_from=None if resumed is None else str(space.inputs / CHECKPOINTS),
            )
        except CoreError as error:
            raise as_failure(error) from error
        self.digests = Background(partial(_digests, space.model, dict(self.data_files)))
        self.shelf = Shelf(desk.run, out=space.out, scratch=space.hidden)
        asked.write(space.spec)

    def relay(self, event: Event) -> None:
        """Events come checked for their form, and from a job that may say anything in it."""
        if event.get("event") == "heartbeat":
            return
        _, said = from_line(event)
        if isinstance(said, PhaseBegins):
            self.is_training = said.phase == "training"
            self.desk.keeper.report(Progress(phase=said.phase, items_done=0))
        elif isinstance(said, TrainingProgress):
            if self.is_training:
                self.curves.planned_steps = said.total
            relay_progress(self.desk.keeper, event)
        elif isinstance(said, CheckpointSaved):
            if self.shelf is not None:
                self.shelf.take(said)
        elif isinstance(said, Evaluated) and said.is_best and self.shelf is not None:
            self.shelf.note_best(said.step)
        self.curves.take(said)

    def conclude(self, ended: JobOutcome, job_s: float) -> Outcome:
        desk, space = self.desk, self.desk.space
        self.curves.flush()
        result = self._read_result()
        desk.keeper.report(Progress(phase="storing"))
        folder = f"{claim_folder(desk.run)}/output"
        try:
            files = keep_files(
                _model_files(result),
                source=space.out,
                below=result.model_folder,
                scratch=space.hidden,
                folder=folder,
                max_bytes=settings.FINETUNE_OUTPUT_LIMIT_BYTES,
                check=desk.keeper.raise_if_stopped,
            )
        except NotWhole as error:
            text = f"The job's model cannot be used: {error}."
            raise JobFailed("system", "result_invalid", text) from error
        except StorageError as error:
            raise as_stored_failure(error) from error
        assert self.digests is not None
        model_files, data_files = self.digests.wait(check=desk.keeper.raise_if_stopped)
        trained = Trained(
            result=result,
            model_files=model_files,
            data_files=data_files,
            files=files,
            job=job_facts(ended, job_s),
            worker=worker_facts(desk.run),
        )
        record = build_training_record(
            run=desk.run, trained=trained, created=timezone.now().isoformat()
        )
        signed = sign_record(record=record)
        desk.keeper.raise_if_stopped()
        return Outcome(
            scores=score_rows(result.after),
            record=record,
            record_digest=signed.digest,
            signature=signed.signature,
            key_id=signed.key_id,
            made=MadeFiles(folder, files),
        )

    def end(self) -> threading.Thread | None:
        """A run that was stopped lets its slot go; its last checkpoint is stored all the same."""
        if self.shelf is None:
            return None
        return self.shelf.end(lets_go=self.desk.keeper.is_unwanted())

    def _labels(self, by_column: dict[str, list[str]]) -> tuple[str, ...] | None:
        """Names that the card gives to the integers of the label column; else the data's own."""
        spec = self.desk.run.spec
        roles = [role.name for role in get_recipe(spec["recipe"]).truth]
        columns = [spec["columns"].get(role, role) for role in roles]
        names = next((by_column[column] for column in columns if column in by_column), None)
        return tuple(names) if names else None

    def _read_result(self) -> FinetuneResult:
        path = self.desk.space.out / RESULT_FILE
        try:
            with open_plain_file(path, max_bytes=MAX_RESULT_BYTES) as stream:
                return FinetuneResult.from_json(json.load(stream))
        except (OSError, ValueError, RecursionError, CoreError) as error:
            text = "The job ended well but left no usable result."
            raise JobFailed("system", "result_invalid", text) from error


def _model_files(result: FinetuneResult) -> list[StoredFile]:
    """The files of the new model; at least its weights must be among them."""
    files = [asdict(file) for file in result.files]
    strange = [f["path"] for f in files if Path(f["path"]).suffix not in SAFE_SUFFIXES]
    if strange:
        raise NotWhole(f"a model has no files like {strange[0][:100]!r}")
    if not any(file["path"].endswith(".safetensors") for file in files):
        raise NotWhole("there are no weights")
    return files


def _digests(model: Path, data: dict[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of the base's files and of the splits', by path in their repositories."""
    return digests_below(model), {name: sha256_of(path) for name, path in data.items()}
