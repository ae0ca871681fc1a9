"""Which repositories are repacked, and when."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from config.doctor import LATE_CLUTTER, Level, check_upkeep
from hub.actions import upkeep
from hub.actions.quotas import measure_new_repos, measure_repo
from hub.actions.upkeep import repack_repo, sweep_repacks
from hub.claims import claim
from hub.models import Repo
from hub.models.repo import DUE_CLUTTER
from hub.site import git_of, git_path
from hub.vcs.upkeep import clutter_of
from tests.support.factories import commit, make_repo, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def repo() -> Repo:
    made = make_repo(make_user("ada"), "net", files={"a.txt": "a"})
    commit(made, {"b.txt": "b"})
    return made


def set_clutter(repo: Repo, clutter: int = DUE_CLUTTER) -> None:
    Repo.objects.filter(pk=repo.pk).update(git_clutter=clutter)


def test_clutter_is_measured_with_the_size(repo: Repo) -> None:
    measure_repo(repo_id=repo.pk)
    repo.refresh_from_db()
    assert repo.git_clutter == clutter_of(git_path(repo)).loose >= 8
    Repo.objects.update(git_clutter=None)
    assert measure_new_repos() == 1
    repo.refresh_from_db()
    assert repo.git_clutter is not None


def test_only_scattered_repositories_are_repacked(repo: Repo) -> None:
    other = make_repo(make_user("eve"), "other")
    measure_repo(repo_id=other.pk)
    set_clutter(repo)
    assert sweep_repacks() == 1
    assert clutter_of(git_path(repo)).loose == 0
    assert clutter_of(git_path(other)).loose > 0
    repo.refresh_from_db()
    assert repo.git_clutter == 0
    assert repo.repacked_at is not None
    assert git_of(repo).read(repo.head_sha, "b.txt") == b"b"
    assert sweep_repacks() == 0


def test_a_repository_that_fails_rests_and_others_have_their_turn(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = make_repo(make_user("eve"), "other", files={"a": "a"})
    set_clutter(sound)
    set_clutter(repo, DUE_CLUTTER + 1)
    (git_path(repo) / "refs/heads/main").write_text("1" * 40 + "\n")
    assert sweep_repacks() == 1
    assert clutter_of(git_path(sound)).loose == 0
    assert sweep_repacks() == 0
    tried: list[object] = []
    monkeypatch.setattr(upkeep, "repack", lambda *args: tried.append(args))
    assert not repack_repo(repo_id=repo.pk)
    Repo.objects.update(repacked_at=timezone.now() - upkeep.PAUSE - timedelta(seconds=1))
    assert repack_repo(repo_id=repo.pk)
    assert len(tried) == 1


def test_one_sweep_at_a_time_and_no_longer_than_allowed(repo: Repo) -> None:
    set_clutter(repo)
    with claim("sweep-repacks"):
        assert sweep_repacks() == 0
    assert sweep_repacks(budget_s=-1.0) == 0
    assert Repo.objects.get().repacked_at is None


def test_a_repository_deleted_meanwhile_is_no_trouble(repo: Repo) -> None:
    set_clutter(repo)
    Repo.objects.filter(pk=repo.pk).delete()
    assert not repack_repo(repo_id=repo.pk)


def test_doctor_report_and_command_tell_of_it(repo: Repo) -> None:
    [finding] = check_upkeep()
    assert finding.level == Level.OK
    set_clutter(repo, LATE_CLUTTER)
    [finding] = check_upkeep()
    assert (finding.level, "ada/net" in finding.text) == (Level.WARN, True)
    assert said("report").count("Git repositories to be repacked") == 1
    assert "1 git repositories were repacked, 0 wait." in said("repack")


def said(*words: str) -> str:
    out = StringIO()
    call_command("storage", *words, stdout=out)
    return out.getvalue()
