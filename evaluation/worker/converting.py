"""Runs that convert: a model's files go in, other files that answer the same come out."""

from __future__ import annotations

import glob
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone

from evaluation.actions.conversion_record import Converted, build_conversion_record
from evaluation.actions.leases import MadeFiles, Outcome, Progress
from evaluation.actions.records import sign_record
from evaluation.convert_spec import core_convert_spec
from evaluation.errors import JobFailed
from evaluation.stream import Event, parse_event
from evaluation.verdicts import Outcome as JobOutcome
from evaluation.worker.background import Background
from evaluation.worker.fetch import fetch_model
from evaluation.worker.inputs import Job, prepare_job
from evaluation.worker.keeping import (
    SAFE_SUFFIXES,
    NotWhole,
    StoredFile,
    as_stored_failure,
    keep_files,
)
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
from ml_core.convert.catalogue import GGUF, PICKLES
from ml_core.convert.costs import cost_of
from ml_core.convert.results import ConversionResult, Cost
from ml_core.data.rows import open_plain_file, sha256_of
from ml_core.errors import CoreError

RESULT_FILE = "result.json"
MAX_RESULT_BYTES = 16 << 20
CARD = "README.md"
UNSAFE = tuple(f"*{suffix}" for suffix in (*PICKLES, GGUF))


class Converting:
    """A model becomes the same model in another form."""

    verb: ClassVar[str] = "convert"

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.job: Job | None = None
        self.digests: Background[tuple[dict[str, str], dict[str, str]]] | None = None

    @staticmethod
    def parse(line: bytes) -> Event | None:
        return parse_event(line)

    def prepare(self) -> None:
        desk, space, spec = self.desk, self.desk.space, self.desk.run.spec
        desk.keeper.report(Progress(phase="fetching"))
        model = desk.source("model")
        base = desk.source("base") if "base" in spec else None
        dataset = desk.source("dataset") if "dataset" in spec else None

        def fetch() -> Job | None:
            fetch_model(model, space.model, also=_wanted(spec))
            if base is not None:
                space.base.mkdir()
                fetch_model(base, space.base)
            if dataset is None:
                return None
            desk.keeper.report(Progress(phase="preparing"))
            return prepare_job(
                spec,
                dataset=dataset,
                model=space.model,
                inputs=space.inputs,
                hidden=space.hidden,
                memory=settings.WORKER_DIR / "splits",
            )

        self.job = desk.beside(fetch)
        try:
            asked = core_convert_spec(
                spec,
                model=space.model,
                base=space.base,
                evaluation=self.job.withheld.spec if self.job else None,
            )
        except CoreError as error:
            raise as_failure(error) from error
        self.digests = Background(partial(_digests, space.model, space.base))
        asked.write(space.spec)

    def relay(self, event: dict[str, Any]) -> None:
        relay_progress(self.desk.keeper, event)

    def end(self) -> None:
        """Nothing is left under way."""

    def conclude(self, ended: JobOutcome, job_s: float) -> Outcome:
        desk, space = self.desk, self.desk.space
        result = self._read_result()
        cost = self._cost()
        desk.keeper.report(Progress(phase="storing"))
        folder = f"{claim_folder(desk.run)}/output"
        try:
            files = keep_files(
                _files(result, only_made=desk.run.spec["output"]["kind"] != "repo"),
                source=space.out,
                below=result.folder,
                scratch=space.hidden,
                folder=folder,
                max_bytes=settings.FINETUNE_OUTPUT_LIMIT_BYTES,
                check=desk.keeper.raise_if_stopped,
            )
        except NotWhole as error:
            text = f"The job's files cannot be used: {error}."
            raise JobFailed("system", "result_invalid", text) from error
        except StorageError as error:
            raise as_stored_failure(error) from error
        assert self.digests is not None
        model_files, base_files = self.digests.wait(check=desk.keeper.raise_if_stopped)
        data = self.job.files if self.job else {}
        converted = Converted(
            result=result,
            cost=cost,
            model_files=model_files,
            base_files=base_files,
            data_files={name: sha256_of(path) for name, path in data.items()},
            files=files,
            job=job_facts(ended, job_s),
            worker=worker_facts(desk.run),
        )
        record = build_conversion_record(
            run=desk.run, converted=converted, created=timezone.now().isoformat()
        )
        signed = sign_record(record=record)
        desk.keeper.raise_if_stopped()
        return Outcome(
            scores=[],
            record=record,
            record_digest=signed.digest,
            signature=signed.signature,
            key_id=signed.key_id,
            made=MadeFiles(folder, files),
        )

    def _cost(self) -> Cost | None:
        """Worked out here: the job was not told what is right."""
        if self.job is None:
            return None
        withheld = self.job.withheld
        try:
            return cost_of(self.job.spec, withheld.truth, withheld.marks, self.desk.space.out)
        except CoreError as error:
            raise as_failure(error) from error

    def _read_result(self) -> ConversionResult:
        path = self.desk.space.out / RESULT_FILE
        try:
            with open_plain_file(path, max_bytes=MAX_RESULT_BYTES) as stream:
                result = ConversionResult.from_json(json.load(stream))
        except (OSError, ValueError, RecursionError, CoreError) as error:
            text = "The job ended well but left no usable result."
            raise JobFailed("system", "result_invalid", text) from error
        if not result.parity.holds:
            text = "The job ended well with an outcome that fails its own check."
            raise JobFailed("system", "result_invalid", text)
        return result


def _wanted(spec: dict[str, Any]) -> tuple[str, ...]:
    """What is fetched besides the files of an evaluation. Only one conversion opens pickles."""
    if spec["conversion"] != "safetensors":
        return (CARD,)
    return (CARD, glob.escape(spec["file"])) if spec["file"] else (CARD, *UNSAFE)


def _files(result: ConversionResult, *, only_made: bool) -> list[StoredFile]:
    """The files to publish; what holds weights must be among them."""
    made = set(result.made)
    files = [asdict(f) for f in result.files if f.path in made or not only_made]
    strange = [f["path"] for f in files if Path(f["path"]).suffix not in SAFE_SUFFIXES]
    if strange:
        raise NotWhole(f"a model has no files like {strange[0][:100]!r}")
    if not any(file["path"].endswith((".safetensors", ".onnx")) for file in files):
        raise NotWhole("there are no weights")
    return files


def _digests(model: Path, base: Path) -> tuple[dict[str, str], dict[str, str]]:
    return digests_below(model), digests_below(base)
