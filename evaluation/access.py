"""The only doors to benchmarks and runs for anything a caller names."""

from __future__ import annotations

import uuid
from typing import Any

from evaluation.errors import BenchmarkNotFound, LogNotFound, RunNotFound
from evaluation.finetune_spec import Target
from evaluation.models import Benchmark, ImportedLog, Run, RunKind, System
from hub.access import (
    Level,
    check_may_read_contents,
    get_namespace_for_create,
    get_repo_for_proposal,
    get_repo_for_read,
    get_repo_for_write,
    level_of,
    may_read_contents,
)
from hub.auth import Actor
from hub.errors import HubError, InvalidInput, PermissionDenied, RepoNotFound
from hub.models import Namespace, Repo, RepoType, TokenScope
from hub.names import validate_repo_name
from hub.quotas import require_room


def get_benchmark_for_read(actor: Actor, namespace: str, name: str, task_id: str) -> Benchmark:
    """The benchmark, if `actor` may read its data set; a retired one too.

    Raises:
        BenchmarkNotFound: there is none that the caller may know of.
        RepoMoved: its data set was renamed.
    """
    dataset = _readable_dataset(actor, namespace, name)
    benchmark = (
        Benchmark.objects.filter(dataset=dataset, task_id=task_id)
        .select_related("current", "dataset__namespace")
        .first()
    )
    if benchmark is None or benchmark.current is None:
        raise BenchmarkNotFound
    return benchmark


def find_benchmark(actor: Actor, benchmark_id: str) -> Benchmark:
    """The benchmark called `namespace/name/task`, or `namespace/name` where there is one task.

    Raises:
        InvalidInput: the id is malformed or names a data set of several tasks.
        BenchmarkNotFound: as `get_benchmark_for_read`.
    """
    parts = benchmark_id.strip("/").split("/")
    if len(parts) == 3:
        return get_benchmark_for_read(actor, parts[0], parts[1], parts[2])
    if len(parts) != 2:
        raise InvalidInput("A benchmark is named “namespace/name/task” or “namespace/name”.")
    tasks = list(
        Benchmark.objects.active()
        .filter(dataset=_readable_dataset(actor, *parts))
        .values_list("task_id", flat=True)[:21]
    )
    if not tasks:
        raise BenchmarkNotFound
    if len(tasks) > 1:
        names = ", ".join(f"{benchmark_id}/{task}" for task in tasks)
        raise InvalidInput(f"This data set has several benchmarks. Name one of: {names}.")
    return get_benchmark_for_read(actor, parts[0], parts[1], tasks[0])


def get_run_for_read(actor: Actor, run_id: uuid.UUID) -> Run:
    """The run, if `actor` may read both its model and its data set. Raises `RunNotFound`."""
    run = Run.objects.with_names().filter(pk=run_id).first()
    if run is None or not _may_read(actor, run):
        raise RunNotFound
    return run


def error_words(actor: Actor, run: Run) -> tuple[str, dict[str, Any]]:
    """Message and details of the run's error. They may quote model and data, so whom a gate keeps
    out gets none of them, unless the run is their own.

    Of predictions the owner too may be outside the gate: they are told what is wrong with their
    file, and not what is wrong with the data.
    """
    is_own = actor.user is not None and actor.user.pk == run.owner_id
    if run.kind == RunKind.PREDICTIONS:
        is_own = is_own and run.error_code.startswith("predictions_")
    may_know = all(may_read_contents(actor, repo) for repo in run.read_repos)
    return (run.error_message, run.error_details) if is_own or may_know else ("", {})


def get_run_for_cancel(actor: Actor, run_id: uuid.UUID) -> Run:
    """The run, if `actor` may stop it.

    Raises:
        RunNotFound: as for reading.
        AuthenticationRequired, PermissionDenied: readable, but somebody else's.
    """
    run = get_run_for_read(actor, run_id)
    user = actor.require_user()
    if not may_cancel(actor, run):
        raise PermissionDenied(
            "This token may only read."
            if user.pk == run.owner_id
            else "Only the person who started a run may cancel it."
        )
    return run


def may_cancel(actor: Actor, run: Run) -> bool:
    if actor.user is None or not _token_may_act(actor, run.model_repo):
        return False
    return actor.user.is_superuser or actor.user.pk == run.owner_id


def get_run_for_predictions(actor: Actor, run_id: uuid.UUID) -> Run:
    """The run, if `actor` may read its answers item by item: they tell what is in the data set.

    Raises: RunNotFound: as for reading. GatedRepo: the data set has a gate.
    """
    run = get_run_for_read(actor, run_id)
    if run.dataset is not None:
        check_may_read_contents(actor, run.dataset)
    return run


def require_may_start(actor: Actor, model_repo: Repo) -> None:
    """Lets a signed-in user pass who may read what is in `model_repo`.

    A token must be of scope write, or fine-grained with a write grant on the model.

    Raises:
        AuthenticationRequired, PermissionDenied, GatedRepo
    """
    actor.require_user()
    check_may_read_contents(actor, model_repo)
    if not _token_may_act(actor, model_repo):
        raise PermissionDenied("This token may only read. Starting a run needs scope “write”.")


def require_may_replay(actor: Actor, run: Run) -> None:
    """Lets pass who may start such a run. Raises as `require_may_start`; InvalidInput: it is of
    predictions, which nobody can make again here."""
    if run.model_repo is None:
        raise InvalidInput("Predictions that were handed in cannot be measured again.")
    require_may_start(actor, run.model_repo)
    for repo in run.read_repos:
        check_may_read_contents(actor, repo)


def may_replay(actor: Actor, run: Run) -> bool:
    try:
        require_may_replay(actor, run)
    except HubError:
        return False
    return True


def require_may_publish(actor: Actor, target: Target, *, base: Repo) -> None:
    """Lets pass who may put a model like `base` where `target` says.

    Raises: PermissionDenied, RepoNotFound, GatedRepo; InvalidInput: it is no name; Conflict: it is
    taken; QuotaExceeded: its owner has no room.
    """
    namespace, slash, name = target.repo.partition("/")
    if not slash or "/" in name:
        raise InvalidInput("Name the result “namespace/name”.")
    if target.kind != "repo":
        take = get_repo_for_write if target.kind == "commit" else get_repo_for_proposal
        require_room(take(actor, "model", namespace, name).namespace, base.size_bytes or 0)
        return
    validate_repo_name(name)
    require_room(get_namespace_for_create(actor, namespace), base.size_bytes or 0)


def find_benchmark_to_run(actor: Actor, benchmark_id: str) -> Benchmark | None:
    """The benchmark of that id, if `actor` may run on its data; None for an empty id.

    Raises: as `find_benchmark` and `require_may_run_on`.
    """
    if not benchmark_id:
        return None
    benchmark = find_benchmark(actor, benchmark_id)
    require_may_run_on(actor, benchmark)
    return benchmark


def get_log_for_read(actor: Actor, log_id: uuid.UUID) -> ImportedLog:
    """The imported log, if `actor` may read its model and data set. Raises LogNotFound."""
    log = (
        ImportedLog.objects.visible_to(actor)
        .select_related("model_repo__namespace", "benchmark__dataset__namespace", "importer")
        .filter(pk=log_id)
        .first()
    )
    if log is None:
        raise LogNotFound
    return log


def get_log_for_source(actor: Actor, log_id: uuid.UUID) -> ImportedLog:
    """The log, if `actor` may read the file itself: it may quote model and data.

    Raises: LogNotFound; GatedRepo.
    """
    log = get_log_for_read(actor, log_id)
    check_may_read_contents(actor, log.model_repo)
    check_may_read_contents(actor, log.benchmark.dataset)
    return log


def get_log_for_removal(actor: Actor, log_id: uuid.UUID) -> ImportedLog:
    """The log, if `actor` may write to its model.

    Raises: LogNotFound; AuthenticationRequired, PermissionDenied.
    """
    log = get_log_for_read(actor, log_id)
    actor.require_user()
    if not may_remove_log(actor, log):
        raise PermissionDenied("Only who may write to the model may remove what is claimed of it.")
    return log


def may_remove_log(actor: Actor, log: ImportedLog) -> bool:
    return level_of(actor, log.model_repo) >= Level.WRITE


def require_may_publish_results(actor: Actor, run: Run, *, as_pull_request: bool) -> None:
    """Lets pass who may write to the run's model, or open a pull request there.

    Raises: AuthenticationRequired, PermissionDenied, RepoNotFound, GatedRepo.
    """
    actor.require_user()
    if run.model_repo is None:
        raise InvalidInput("Predictions that were handed in have no model repository.")
    get = get_repo_for_proposal if as_pull_request else get_repo_for_write
    get(actor, RepoType.MODEL, run.model_repo.namespace.name, run.model_repo.name)


def require_may_run_on(actor: Actor, benchmark: Benchmark) -> None:
    """Lets pass who may read the data: a worker fetches it with the right of who starts the run.

    Raises:
        GatedRepo
    """
    check_may_read_contents(actor, benchmark.dataset)


def require_may_submit(actor: Actor, benchmark: Benchmark, namespace: str) -> Namespace:
    """The person or organisation in whose name `actor` hands in predictions.

    The files of the data are not asked about: the benchmark takes predictions of those whom its
    gate keeps out, who may have the questions from elsewhere.

    Raises:
        AuthenticationRequired; PermissionDenied: a token that may only read, or a foreign name.
    """
    actor.require_user()
    return get_namespace_for_create(actor, namespace or None)


def linked_model(actor: Actor, system: System | None) -> Repo | None:
    """The model that the system's maker says it is, if `actor` may know of it."""
    linked = system.model_link if system is not None else None
    return linked if linked is not None and level_of(actor, linked) >= Level.READ else None


def _token_may_act(actor: Actor, model_repo: Repo | None) -> bool:
    if actor.token is None or actor.token.scope == TokenScope.WRITE:
        return True
    if actor.token.scope == TokenScope.READ or actor.token.is_internal:
        return False
    if model_repo is None:
        return False
    return actor.token.grants.filter(repo=model_repo, can_write=True).exists()


def _may_read(actor: Actor, run: Run) -> bool:
    is_own = actor.user is not None and actor.user.pk == run.owner_id
    if run.is_dry_run and not is_own:
        return False
    return all(level_of(actor, repo) >= Level.READ for repo in run.read_repos)


def _readable_dataset(actor: Actor, namespace: str, name: str) -> Repo:
    try:
        return get_repo_for_read(actor, "dataset", namespace, name)
    except RepoNotFound as error:
        missing = BenchmarkNotFound()
        missing.status = error.status
        raise missing from None
