"""Predictions that were made elsewhere: handing in a file, and baselines that this site makes."""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from evaluation.actions.runs import check_start, note_run, require_active, ring_for
from evaluation.keepers import keeper_of
from evaluation.limits import require_allowance, rules_of
from evaluation.models import BenchmarkVersion, ErrorFamily, Run, RunKind, System
from evaluation.pools import Need, assign_pool
from evaluation.spec import build_predictions_spec
from evaluation.submitted_files import file_key
from hub.errors import InvalidInput, TooLarge, UnsupportedType
from hub.models import Namespace, Repo, User
from hub.site import store
from hub.storage import Received, ReceiveError, receive
from hub.storage.digests import Readable
from hub.storage.errors import TooLarge as TooManyBytes
from ml_core.evaluate.tasks import get_task

logger = logging.getLogger(__name__)

ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_SYSTEM_NAME = re.compile(r"\w[\w .+()-]{0,94}[\w.+)]|\w")


@dataclass(frozen=True)
class Handed:
    """What comes with a file. `model_link` is the repository that its maker says it is."""

    system: str
    filename: str
    namespace: Namespace
    model_link: Repo | None = None
    is_dry_run: bool = False


def submit_predictions(
    *,
    version: BenchmarkVersion,
    handed: Handed,
    stream: Readable,
    size_bytes: int | None,
    acting_user: User,
) -> Run:
    """A queued run that scores a file of predictions; the caller has checked access.

    Args:
        size_bytes: what the sender says that it has; None where it does not.

    Raises:
        InvalidInput: the benchmark takes none, or the name cannot be used.
        UnsupportedType, TooLarge: the file.
        RunLimitReached, RateLimited, SubmissionsClosed, SubmissionLimitReached
        StorageFull, StorageUnavailable (storage): nothing is kept.
    """
    require_active(version)
    require_takes_predictions(version)
    name = " ".join(handed.system.split())
    if not _SYSTEM_NAME.fullmatch(name):
        raise InvalidInput(
            _("A system's name has 1 to 96 letters, digits, spaces and any of . + - _ ( ).")
        )
    filename = PurePosixPath(handed.filename.replace("\\", "/")).name[-200:]
    ending = PurePosixPath(filename).suffix.lower()
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        words = _("The name of a predictions file ends in one of %(known)s.")
        raise UnsupportedType(words % {"known": known})
    check_start(acting_user, is_dry_run=handed.is_dry_run)
    received = _received(stream, size_bytes)
    try:
        file = {
            "filename": filename,
            "ending": ending,
            "sha256": received.sha256,
            "size_bytes": received.size_bytes,
        }
        return _queued(version, handed, name, file, received.path, acting_user)
    finally:
        received.path.unlink(missing_ok=True)


def start_baselines(*, version: BenchmarkVersion) -> list[Run]:
    """Runs of the computed baselines that `version` declares, those that are lacking.

    They count against nobody. Where nobody may act for the data set, there are none.
    """
    dataset = version.benchmark.dataset
    wanted = [b for b in version.spec["baselines"] if b.get("computed")]
    keeper = keeper_of(dataset)
    if keeper is None or not get_task(version.spec["type"]).takes_predictions:
        return []
    started = []
    for baseline in wanted:
        try:
            system = _system(dataset.namespace, baseline["name"], is_baseline=True)
        except InvalidInput:  # somebody's system has the name; that is not to stop the benchmark
            logger.warning("%s: the name %r is taken", version, baseline["name"])
            continue
        failed = {"state": "failed", "error_family": ErrorFamily.SYSTEM}
        if version.runs.filter(system=system).exclude(**failed).exists():
            continue
        spec = build_predictions_spec(
            version=version, system=system.full_name, file={"computed": baseline["computed"]}
        )
        with transaction.atomic():
            run = _create(version, system, spec, keeper, None, is_dry_run=False)
        started.append(run)
    return started


def require_takes_predictions(version: BenchmarkVersion) -> None:
    """Raises InvalidInput where the benchmark takes models alone."""
    rules = rules_of(version)
    if rules is None or not rules.predictions:
        raise InvalidInput(_("This benchmark takes no files of predictions."))


def _received(stream: Readable, size_bytes: int | None) -> Received:
    limit = settings.MAX_PREDICTIONS_BYTES
    try:
        return receive(
            stream,
            staging_dir=Path(settings.STAGING_DIR),
            limit_bytes=limit,
            expected_size=size_bytes,
        )
    except TooManyBytes:
        words = _("A predictions file may have at most %(n)s bytes.")
        raise TooLarge(words % {"n": f"{limit:,}"}) from None
    except ReceiveError as error:
        raise InvalidInput(error.message, **error.details) from None


def _queued(
    version: BenchmarkVersion,
    handed: Handed,
    name: str,
    file: dict[str, Any],
    path: Path,
    user: User,
) -> Run:
    """Bytes first, then the row; both or none."""
    run_id = uuid.uuid4()
    key = file_key(Run(pk=run_id))
    store().put_file(key, path)
    try:
        with transaction.atomic():
            if not handed.is_dry_run:
                require_allowance(version, handed.namespace, user)
            system = _system(handed.namespace, name, is_baseline=False)
            if not handed.is_dry_run:
                _link(system, handed.model_link)
            spec = build_predictions_spec(version=version, system=system.full_name, file=file)
            if handed.is_dry_run:
                spec["dry_run"] = True
            return _create(
                version,
                system,
                spec,
                user,
                handed.namespace,
                is_dry_run=handed.is_dry_run,
                run_id=run_id,
            )
    except BaseException:
        store().delete(key)
        raise


def _create(
    version: BenchmarkVersion,
    system: System,
    spec: dict[str, Any],
    owner: User,
    submitter: Namespace | None,
    *,
    is_dry_run: bool,
    run_id: uuid.UUID | None = None,
) -> Run:
    run = Run.objects.create(
        pk=run_id or uuid.uuid4(),
        kind=RunKind.PREDICTIONS,
        system=system,
        benchmark_version=version,
        dataset=version.benchmark.dataset,
        owner=owner,
        submitter=submitter,
        spec=spec,
        **assign_pool(spec, Need()),
        is_dry_run=is_dry_run,
    )
    note_run("run.started", run, owner)
    ring_for(run)
    return run


def _system(namespace: Namespace, name: str, *, is_baseline: bool) -> System:
    """The system of that name, as it is or new. Raises InvalidInput: it is of the other sort."""
    named = System.objects.filter(namespace=namespace, name__iexact=name)
    found = named.first()
    if found is None:
        try:
            with transaction.atomic():
                return System.objects.create(
                    namespace=namespace, name=name, is_baseline=is_baseline
                )
        except IntegrityError:  # somebody else has just made it
            found = named.first()
            if found is None:
                raise
    if found.is_baseline != is_baseline:
        raise InvalidInput(_("A baseline of this benchmark has that name; choose another."))
    return found


def _link(system: System, model: Repo | None) -> None:
    """Notes which model the system is said to be; a link that is there stays without a new one."""
    if model is not None and system.model_link_id != model.pk:
        system.model_link = model
        system.save(update_fields=["model_link"])
