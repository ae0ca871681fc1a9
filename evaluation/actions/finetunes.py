"""Starting a fine-tuning, and going on with one that was stopped."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from evaluation.actions.runs import (
    NOT_STARTED,
    check_run_limit,
    error_fields,
    note_run,
    ring_for,
)
from evaluation.errors import NothingToResume, RunLimitReached
from evaluation.finetune_spec import Target, Wish, build_finetune_spec
from evaluation.models import ACTIVE, OutputState, Run, RunKind, RunState
from evaluation.pools import assign_pool, training_need
from evaluation.pricing import Price
from hub.actions.repos import DEFAULT_BRANCH
from hub.errors import Conflict, InvalidInput
from hub.models import Repo, RepoType, User
from hub.site import git_of

MAX_OWN_AT_ONCE = 4
"""Fine-tunings that one person has waiting or running."""


def start_finetune(
    *,
    base: Repo,
    dataset: Repo,
    data_commit: str,
    wish: Wish,
    price: Price,
    acting_user: User,
    revision: str = DEFAULT_BRANCH,
) -> Run:
    """A queued fine-tuning, frozen to commits; the caller has checked access and the target.

    Raises:
        RevisionNotFound: the base has no such revision.
        InvalidInput: the wish cannot be fulfilled, or would take longer than a run may.
        Conflict: the target is taken, or another run is on its way there.
        RunLimitReached: the user has started as many as allowed.
    """
    require_within_limits(price)
    base_commit = git_of(base).resolve(revision or DEFAULT_BRANCH)
    spec = build_finetune_spec(
        base=base,
        base_commit=base_commit,
        dataset=dataset,
        data_commit=data_commit,
        wish=wish,
        max_steps=price.max_steps,
    )
    need = training_need(base=base, commit=base_commit, method=wish.method)
    place = assign_pool(spec, need)
    check_run_limit(acting_user)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=acting_user.pk)
        _check_own_limit(acting_user)
        require_free_target(wish.target)
        run = Run.objects.create(
            kind=RunKind.FINETUNE,
            model_repo=base,
            model_commit=base_commit,
            dataset=dataset,
            owner=acting_user,
            spec=spec,
            **place,
            estimate_s=price.seconds,
        )
        note_run("run.started", run, acting_user)
        ring_for(run)
    return run


def resume_run(*, run: Run, acting_user: User) -> Run:
    """Puts a stopped or failed fine-tuning back in the queue, to go on from its checkpoint.

    Raises: NothingToResume: it is under way or finished, or no checkpoint of it is stored.
    """
    with transaction.atomic():
        resumable = Run.objects.filter(
            pk=run.pk,
            kind=RunKind.FINETUNE,
            state__in=(RunState.FAILED, RunState.CANCELLED),
            checkpoints__isnull=False,
        )
        changed = resumable.exists() and Run.objects.filter(
            pk=run.pk, state__in=(RunState.FAILED, RunState.CANCELLED)
        ).update(
            state=RunState.QUEUED,
            state_since=timezone.now(),
            not_before=timezone.now(),
            attempt=0,
            finished_at=None,
            **error_fields("", "", "", None),
            **NOT_STARTED,
        )
        if not changed:
            raise NothingToResume
        note_run("run.resumed", run, acting_user)
        ring_for(run)
    run.refresh_from_db()
    return run


def require_within_limits(price: Price) -> None:
    """Raises `InvalidInput` for what this site does not train."""
    limit_s = settings.FINETUNE_WALL_LIMIT_S
    if price.seconds > limit_s:
        raise InvalidInput(
            f"It would take about {price.minutes} minutes; a run may take {limit_s // 60}. "
            "Choose fewer epochs, a time in minutes, or a smaller base."
        )
    most = settings.FINETUNE_MAX_PARAMETERS
    if price.parameters > most:
        raise InvalidInput(
            f"The base has {price.parameters / 1e6:,.0f} million parameters; this site trains "
            f"models of up to {most / 1e6:,.0f} million."
        )


def require_free_target(target: Target, *, but: Run | None = None) -> None:
    """Raises `Conflict` where a repository of that name exists, or another run will make it."""
    if target.kind != "repo":
        return
    namespace, _, name = target.repo.partition("/")
    if Repo.objects.named(RepoType.MODEL, namespace, name).exists():
        raise Conflict(f"There is already a model {target.repo}. Choose another name.")
    on_the_way = Run.objects.filter(
        kind__in=(RunKind.FINETUNE, RunKind.CONVERT),
        spec__output__repo__iexact=target.repo,
        spec__output__kind="repo",
    )
    if but is not None:
        on_the_way = on_the_way.exclude(pk=but.pk)
    active = on_the_way.filter(state__in=ACTIVE).exists()
    open_states = (OutputState.WAITING, OutputState.PUBLISHING)
    if active or on_the_way.filter(output__state__in=open_states).exists():
        raise Conflict(f"Another run is about to make {target.repo}. Choose another name.")


def _check_own_limit(user: User) -> None:
    own = Run.objects.filter(kind=RunKind.FINETUNE, owner=user, state__in=ACTIVE).count()
    if own >= MAX_OWN_AT_ONCE and not user.is_superuser:
        raise RunLimitReached(
            f"You have {own} fine-tunings waiting or running, which is the limit here. "
            "Wait for one to end, or stop one.",
            retry_after_s=60,
        )
