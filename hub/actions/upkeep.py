"""Keeping git repositories quick: those that were written to often are repacked."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from hub.actions.quotas import measure_repo
from hub.claims import claim
from hub.models import Repo
from hub.site import git_path
from hub.usage import scattered_repos
from hub.vcs.errors import VcsError
from hub.vcs.gitprocess import ProcessLimits
from hub.vcs.upkeep import repack

PAUSE = timedelta(hours=1)
"""Between two attempts at a repository; longer than one may take."""
SWEEP_S = 1200
"""A sweep begins no other repository after so long."""

logger = logging.getLogger(__name__)


def sweep_repacks(*, budget_s: float = SWEEP_S) -> int:
    """Repacks the repositories that need it most, one sweep at a time; how many."""
    deadline, done = time.monotonic() + budget_s, 0
    with claim("sweep-repacks") as is_ours:
        if not is_ours:
            return 0
        for repo_id in list(due_repos(timezone.now()).values_list("pk", flat=True)):
            if time.monotonic() > deadline:
                break
            done += repack_repo(repo_id=repo_id)
    return done


def due_repos(now: datetime) -> QuerySet[Repo]:
    """Repositories to be repacked, the worst first."""
    rested = Q(repacked_at=None) | Q(repacked_at__lt=now - PAUSE)
    return scattered_repos().filter(rested)


def repack_repo(*, repo_id: int) -> bool:
    """Joins the objects of a repository, unless somebody else does; whether it was done.

    A failure is logged, and the repository rests for `PAUSE`, so that others have their turn.
    """
    now = timezone.now()
    if not due_repos(now).filter(pk=repo_id).update(repacked_at=now):
        return False
    repo = Repo.objects.filter(pk=repo_id).first()
    if repo is None:
        return False
    limits = ProcessLimits(settings.GIT_MEMORY_LIMIT_BYTES, settings.GIT_REPACK_LIMIT_S)
    try:
        repack(git_path(repo), limits)
    except VcsError as error:
        logger.warning("%s was not repacked: %s", repo, error.details)
        return False
    measure_repo(repo_id=repo_id)
    return True
