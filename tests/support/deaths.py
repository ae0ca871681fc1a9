"""Processes that end at a named point, as a power cut would end them, and what must hold then.

A point reads `before hub.actions.commits.copy_refs`: the first call of what that name stands for.
`after …` ends the process when the call has returned, `… #2` at the second call. The name is the
one by which the caller knows it, as for a mock.
"""

from __future__ import annotations

import faulthandler
import os
import pkgutil
import signal
import subprocess
import traceback
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.cache import cache
from django.db import connections

if TYPE_CHECKING:
    from hub.models import Repo

_CHILD_LIMIT_S = 60


class Point(NamedTuple):
    """Where a process ends."""

    moment: str
    target: str
    call: int

    @classmethod
    def parse(cls, text: str) -> Point:
        moment, target, *rest = text.split()
        assert moment in {"before", "after"}, text
        return cls(moment, target, int(rest[0].removeprefix("#")) if rest else 1)

    def arm(
        self, is_due: Callable[[], bool] = lambda: True, end: Callable[[], None] | None = None
    ) -> None:
        """From now on this process ends there, if `is_due` says so at that moment."""
        end = end or die
        owner_name, _, name = self.target.rpartition(".")
        owner = pkgutil.resolve_name(owner_name)
        original, calls = getattr(owner, name), []

        @wraps(original)
        def mortal(*args: Any, **kwargs: Any) -> Any:
            if not is_due():
                return original(*args, **kwargs)
            calls.append(1)
            is_here = len(calls) == self.call
            if is_here and self.moment == "before":
                end()
            result = original(*args, **kwargs)
            if is_here:
                end()
            return result

        setattr(owner, name, mortal)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(point: str, call: Callable[[], Any]) -> None:
    """Runs `call` in a child, which must end at `point`. What it holds of the cache's claims has
    run out afterwards."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _live_until(point, call)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, f"it got past: {point}"
    cache.clear()


def _live_until(point: str, call: Callable[[], Any]) -> None:
    from hub.xet import content

    faulthandler.dump_traceback_later(_CHILD_LIMIT_S, exit=True)
    content._executor.cache_clear()  # its threads stayed with the parent
    try:
        Point.parse(point).arm()
        call()
    except BaseException:  # noqa: BLE001  (the child must not go on as the test)
        traceback.print_exc()
    finally:
        os._exit(1)


def assert_doctor_is_content(*repos: Repo) -> None:
    """Nothing is wrong with the data, by the checks of `manage.py doctor` and by git's own."""
    from config.doctor import Level, check_content, check_git_copy, check_store, check_writes
    from hub.site import git_path

    findings = [*check_store(), *check_writes()]
    findings += [*check_git_copy(repo_limit=None), *check_content()]
    wrong = [finding for finding in findings if finding.level != Level.OK]
    assert not wrong, wrong
    for repo in repos:
        fsck = ["git", "fsck", "--strict"]
        done = subprocess.run(fsck, cwd=git_path(repo), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
