"""Starting a conversion."""

from __future__ import annotations

from django.db import transaction

from evaluation.actions.finetunes import require_free_target
from evaluation.actions.runs import check_run_limit, note_run, ring_for
from evaluation.bases import Base, top_files
from evaluation.convert_spec import ConvertWish, build_convert_spec
from evaluation.errors import RunLimitReached
from evaluation.models import ACTIVE, Run, RunKind
from evaluation.pools import assign_pool, conversion_need
from hub.models import Repo, User
from hub.site import git_of

MAX_OWN_AT_ONCE = 4
"""Conversions that one person has waiting or running."""


def start_conversion(
    *, model: Repo, commit: str, base: Base | None, wish: ConvertWish, acting_user: User
) -> Run:
    """A queued conversion, frozen to commits; the caller has checked access and the target.

    Raises:
        InvalidInput: the model cannot be converted so.
        Conflict: the target is taken, or another run is on its way there.
        RunLimitReached: the user has started as many as allowed.
    """
    names = top_files(git_of(model), commit)
    spec = build_convert_spec(model=model, commit=commit, names=names, base=base, wish=wish)
    weights = base or Base(model, commit)
    place = assign_pool(spec, conversion_need(model=weights.repo, commit=weights.commit))
    check_run_limit(acting_user)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=acting_user.pk)
        _check_own_limit(acting_user)
        require_free_target(wish.target)
        run = Run.objects.create(
            kind=RunKind.CONVERT,
            model_repo=model,
            model_commit=commit,
            base_repo=base.repo if base else None,
            dataset=wish.benchmark.dataset if wish.benchmark else None,
            owner=acting_user,
            spec=spec,
            **place,
        )
        note_run("run.started", run, acting_user)
        ring_for(run)
    return run


def _check_own_limit(user: User) -> None:
    own = Run.objects.filter(kind=RunKind.CONVERT, owner=user, state__in=ACTIVE).count()
    if own >= MAX_OWN_AT_ONCE and not user.is_superuser:
        raise RunLimitReached(
            f"You have {own} conversions waiting or running, which is the limit here. "
            "Wait for one to end, or cancel one.",
            retry_after_s=60,
        )
