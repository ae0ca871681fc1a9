"""What a push may bring: packs made by the real git, and packs that nobody should make."""

from __future__ import annotations

import errno
import io
import os
import struct
import time
import zlib
from hashlib import sha1
from pathlib import Path

import pytest
from django.utils import timezone

from hub import events
from hub.actions import pushes
from hub.actions.pushes import receive_push, sweep_quarantines
from hub.actions.tokens import Grant
from hub.auth import Actor, find_token
from hub.errors import PushRefused, QuotaExceeded
from hub.lfs.pointer import format_pointer
from hub.models import AuditEntry, TokenScope
from hub.site import git_of, git_path, incoming_path
from hub.vcs import Repository
from hub.vcs.errors import PackRefused, RefExists, RepositoryBusy, RepositoryFull
from hub.vcs.refs import RefMove
from tests.support.cast import ROLES
from tests.support.factories import commit, make_repo, make_token, make_user, store_blob
from tests.support.git import Git

MAIN = "refs/heads/main"
NOBODY = "0" * 40


@pytest.fixture
def owner(db):
    return make_user("olga")


@pytest.fixture
def repo(owner):
    return make_repo(owner, "thing", files={"a.txt": "one\n", "sub/b.txt": "two\n"})


@pytest.fixture
def git(repo, tmp_path):
    """A clone of the repository."""
    clone = Git(tmp_path / "clone", tmp_path / "home")
    clone("clone", "--quiet", str(git_path(repo)), ".")
    return clone


def push(repo, git, *targets, actor=None, pack=None, known=("origin/main",)):
    """Push commits to refs, given as (ref, new id or None) or (ref, new, old)."""
    present = git_of(repo).raw_refs()
    moves = [
        RefMove(target[0], target[2] if len(target) > 2 else present.get(target[0]), target[1])
        for target in targets
    ]
    if pack is None:
        news = [move.new for move in moves if move.new]
        pack = git.pack(*news, *(f"^{name}" for name in known))
    actor = actor or Actor(user=repo.creator)
    receive_push(repo=repo, moves=moves, pack=io.BytesIO(pack), actor=actor)


def state(repo):
    """All that a refused push must leave as it was."""
    root = git_path(repo)
    return (
        sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()),
        git_of(repo).raw_refs(),
        sorted(repo.refs.values_list("name", "commit_sha")),
        AuditEntry.objects.count(),
        list(incoming_path().glob("*")) if incoming_path().exists() else [],
    )


@pytest.fixture
def refused(repo, git):
    """Pushes what must be refused, looks that nothing is left of it, and gives the words."""

    def run(*targets, error=PushRefused, **options):
        before = state(repo)
        with pytest.raises(error) as caught:
            push(repo, git, *targets, **options)
        repo.refresh_from_db()
        assert state(repo) == before
        words = [caught.value.message, *getattr(caught.value, "refs", {}).values()]
        return "\n".join(words)

    return run


# What is taken


def test_a_pushed_commit_is_everywhere_at_once(
    repo, git, owner, django_capture_on_commit_callbacks
):
    news = []
    events.receives(events.RefUpdated)(news.append)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            sha = git.commit({"README.md": "---\nlicense: mit\n---\n# Hi\n", "a.txt": "more\n"})
            old = repo.head_sha
            push(repo, git, (MAIN, sha))
    finally:
        events._receivers[events.RefUpdated].remove(news.append)
    repo.refresh_from_db()
    assert (repo.head_sha, repo.license) == (sha, "mit")
    assert repo.refs.get(name=MAIN).commit_sha == sha
    assert git_of(repo).read(sha, "a.txt") == b"more\n"
    assert git_of(repo).read(sha, "sub/b.txt") == b"two\n"
    assert repo.size_bytes == git_of(repo).content_bytes(sha)
    assert [(n.ref, n.old_sha, n.new_sha, n.actor_id) for n in news] == [(MAIN, old, sha, owner.pk)]
    assert AuditEntry.objects.filter(verb="ref.updated", repo=repo).last().details["new"] == sha
    assert list(incoming_path().iterdir()) == []
    Git(git_path(repo), git.home)("fsck", "--strict")


@pytest.mark.parametrize("count", [1, 40])
def test_few_objects_and_many_arrive(repo, git, count):
    sha = git.commit({f"d{i % 7}/f{i}.txt": f"{i}\n" for i in range(count)})
    push(repo, git, (MAIN, sha))
    assert len(list(git_of(repo).tree(sha, recursive=True))) >= count
    packs = list((git_path(repo) / "objects" / "pack").glob("*.pack"))
    assert len(packs) == (1 if count > 16 else 0)


def test_branches_and_tags_are_made_moved_and_deleted(repo, git):
    one, two = git.commit({"x": "1"}), git.commit({"x": "2"})
    git("tag", "-a", "v1", "-m", "first", one)
    tag = git("rev-parse", "v1")
    push(repo, git, ("refs/heads/dev", two), ("refs/tags/v1", tag), ("refs/tags/light", one))
    assert git_of(repo).raw_refs()["refs/tags/v1"] == tag
    assert git_of(repo).ref("refs/tags/v1") == one
    rows = dict(repo.refs.values_list("name", "commit_sha"))
    assert (rows["refs/heads/dev"], rows["refs/tags/v1"], rows["refs/tags/light"]) == (
        two,
        one,
        one,
    )
    push(repo, git, ("refs/heads/dev", one), ("refs/tags/light", two), ("refs/tags/v1", None))
    rows = dict(repo.refs.values_list("name", "commit_sha"))
    assert (rows["refs/heads/dev"], rows["refs/tags/light"]) == (one, two)
    assert "refs/tags/v1" not in rows
    receive_push(
        repo=repo,
        moves=[RefMove("refs/heads/dev", one, None)],
        pack=io.BytesIO(b""),
        actor=Actor(user=repo.creator),
    )
    assert not repo.refs.filter(name="refs/heads/dev").exists()


def test_a_merge_arrives_with_both_sides(repo, git):
    git("checkout", "-q", "-b", "side")
    git.commit({"side.txt": "s"})
    git("checkout", "-q", "main")
    git.commit({"main.txt": "m"})
    git("merge", "-q", "--no-edit", "side")
    sha = git("rev-parse", "HEAD")
    push(repo, git, (MAIN, sha))
    assert git_of(repo).read(sha, "side.txt") == b"s"
    assert git_of(repo).count_commits(sha) == 5


def test_an_unrelated_history_makes_a_branch(repo, git):
    sha = git.commit_tree(git.tree(("100644", b"f", git.blob(b"x"))))
    push(repo, git, ("refs/heads/other", sha), known=())
    assert git_of(repo).count_commits(sha) == 1


def test_a_pointer_to_content_of_this_repository_is_taken(repo, git):
    blob = store_blob(repo, b"weights" * 1000)
    sha = git.commit({"w.bin": format_pointer(blob.sha256, blob.size_bytes)})
    push(repo, git, (MAIN, sha))
    assert git_of(repo).entry(sha, "w.bin").size_bytes == 7000


# Rights


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("is_private", [False, True])
def test_who_may_push(cast, role, is_private, tmp_path):
    repo = cast.private_repo() if is_private else cast.public_repo()
    git = Git(tmp_path / "clone", tmp_path / "home")
    git("clone", "--quiet", str(git_path(repo)), ".")
    sha = git.commit({"x": "1"})
    if role in {"owner", "member", "admin"}:
        push(repo, git, (MAIN, sha), actor=cast.actor(role))
        assert git_of(repo).ref(MAIN) == sha
        return
    before = state(repo)
    with pytest.raises(PushRefused) as caught:
        push(repo, git, (MAIN, sha), actor=cast.actor(role))
    assert set(caught.value.refs) == {MAIN}
    assert state(repo) == before


@pytest.mark.parametrize("is_fine", [False, True])
def test_a_token_without_the_right_does_not_push(repo, git, owner, refused, is_fine):
    grants = (Grant(repo=repo, can_write=False),) if is_fine else ()
    scope = TokenScope.FINE_GRAINED if is_fine else TokenScope.READ
    actor = Actor(user=owner, token=find_token(make_token(owner, scope=scope, grants=grants)))
    refused((MAIN, git.commit({"x": "1"})), actor=actor)


def test_a_token_made_for_the_repository_pushes(repo, git, owner):
    text = make_token(
        owner, scope=TokenScope.FINE_GRAINED, grants=(Grant(repo=repo, can_write=True),)
    )
    sha = git.commit({"x": "1"})
    push(repo, git, (MAIN, sha), actor=Actor(user=owner, token=find_token(text)))
    assert git_of(repo).ref(MAIN) == sha


# Refs


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("refs/notes/commits", "only branches and tags"),
        ("refs/replace/" + NOBODY, "only branches and tags"),
        ("refs/stash", "only branches and tags"),
        ("HEAD", "only branches and tags"),
        ("main", "only branches and tags"),
        ("refs/heads", "only branches and tags"),
        ("refs/pr/7", "no pull request"),
        ("refs/pr/x", "no pull request"),
        ("refs/heads/", "empty"),
        ("refs/heads/../x", "'..'"),
        ("refs/heads/../../config", "'..'"),
        ("refs/heads/a b", "space"),
        ("refs/heads/a\x07b", "control"),
        ("refs/heads/a~1", "~"),
        ("refs/heads/a.lock", ".lock"),
        ("refs/heads/.hidden", "dot"),
        ("refs/heads/a//b", "empty"),
        ("refs/heads/-x", "meaning"),
        ("refs/heads/" + "a" * 40, "commit id"),
        ("refs/heads/" + "x" * 300, "longer"),
        ("refs/tags/@{-1}", "@{"),
        ("refs/heads/\udcff", "UTF-8"),
    ],
)
def test_refs_that_are_not_taken(git, refused, ref, words):
    assert words in refused((ref, git.commit({"x": "1"})))


@pytest.mark.parametrize("seconds", [9999999999999, 2**62])
def test_a_date_that_no_calendar_has_is_refused(git, refused, seconds):
    sha = git.dated_commit(seconds)
    assert refused(("refs/heads/dev", sha)) == f"{sha}: no calendar has its date"


def test_a_date_in_the_future_leads_no_list(repo, git):
    sha = git.dated_commit(253370764800)
    push(repo, git, (MAIN, sha))
    repo.refresh_from_db()
    assert repo.head_sha == sha
    assert repo.last_modified <= timezone.now()
    assert git_of(repo).commit_info(sha).author.when.year == 9999


def test_a_refused_ref_keeps_the_others_back(git, refused):
    sha = git.commit({"x": "1"})
    refused((MAIN, sha), ("refs/notes/x", sha))


def test_a_ref_named_twice_is_refused(git, refused):
    sha = git.commit({"x": "1"})
    assert "twice" in refused((MAIN, sha), (MAIN, sha))


def test_too_many_refs_are_refused(git, refused, settings):
    settings.MAX_PUSH_REFS = 3
    sha = git.commit({"x": "1"})
    assert "At most 3" in refused(*[(f"refs/tags/t{i}", sha) for i in range(4)])


def test_the_default_branch_is_not_deleted(refused):
    assert "cannot be deleted" in refused((MAIN, None), pack=b"")


def test_the_default_branch_only_goes_forward(repo, git, refused):
    push(repo, git, (MAIN, git.commit({"x": "1"})))
    git("reset", "-q", "--hard", "HEAD~1")
    assert "only goes forward" in refused((MAIN, git.commit({"x": "2"})))


def test_another_branch_may_be_rewritten(repo, git):
    push(repo, git, ("refs/heads/dev", git.commit({"x": "1"})))
    git("reset", "-q", "--hard", "HEAD~1")
    sha = git.commit({"x": "2"})
    push(repo, git, ("refs/heads/dev", sha))
    assert git_of(repo).ref("refs/heads/dev") == sha


def test_a_branch_leads_to_a_commit(git, refused):
    git("tag", "-a", "v1", "-m", "x")
    assert "must lead to a commit" in refused(("refs/heads/dev", git("rev-parse", "v1")))
    tree = git("rev-parse", "HEAD^{tree}")
    assert "leads to no commit" in refused(("refs/heads/dev", tree), pack=git.pack("^origin/main"))


@pytest.mark.parametrize("kind", ["blob", "tree"])
def test_a_tag_leads_to_a_commit(git, refused, kind):
    blob = git.blob(b"x")
    target = blob if kind == "blob" else git.tree(("100644", b"f", blob))
    assert "leads to no commit" in refused(("refs/tags/t", target))


def test_names_that_contain_each_other_are_refused(repo, git, refused):
    sha = git.commit({"x": "1"})
    push(repo, git, ("refs/heads/dev", sha))
    refused(("refs/heads/dev/x", sha), error=RefExists)
    refused(("refs/heads/a", sha), ("refs/heads/a/b", sha), error=RefExists)
    refused(("refs/heads/dev", None), ("refs/heads/dev/x", sha), error=RefExists)


def test_who_comes_second_fetches_first(repo, git, refused):
    old = git("rev-parse", "HEAD")
    commit(repo, {"api.txt": "first"})
    assert "fetch first" in refused((MAIN, git.commit({"x": "1"}), old))


def test_a_commit_by_api_between_check_and_move_wins(repo, git, monkeypatch):
    sha, old = git.commit({"x": "1"}), git("rev-parse", "origin/main")
    check = pushes._check_content

    def check_and_lose(*arguments):
        check(*arguments)
        commit(repo, {"api.txt": "first"})

    monkeypatch.setattr(pushes, "_check_content", check_and_lose)
    with pytest.raises(PushRefused) as caught:
        push(repo, git, (MAIN, sha, old))
    assert "fetch first" in caught.value.refs[MAIN]
    assert git_of(repo).read(git_of(repo).ref(MAIN), "api.txt") == b"first"
    assert sha not in git_of(repo)._repo
    assert list(incoming_path().iterdir()) == []


# Paths and files


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("100644", b"..", ""), "'.' or '..'"),
        (("100644", b".", ""), "'.' or '..'"),
        (("100644", b".git", ""), "git's own folder"),
        (("100644", b".GiT", ""), "git's own folder"),
        (("100644", b"git~1", ""), "git's own folder"),
        (("100644", ".g\u200cit".encode(), ""), "git's own folder"),
        (("100644", b".gitmodules", ""), "submodules"),
        (("100644", b"a\\b", ""), "backslash"),
        (("100644", b"bad\xff", ""), "UTF-8"),
        (("100644", b"bell\x07", ""), "control"),
        (("100644", b"x" * 256, ""), "longer than 255"),
        (("120000", b"link", ""), "no links"),
        (("160000", b"sub", ""), "submodules"),
        (("100664", b"group", ""), "only files and folders"),
    ],
)
@pytest.mark.parametrize("depth", [0, 2])
def test_paths_that_are_not_taken(git, refused, row, words, depth):
    tree = git.tree(
        (row[0], row[1], git("rev-parse", "HEAD") if row[0] == "160000" else git.blob(b"x"))
    )
    for _ in range(depth):
        tree = git.tree(("40000", b"d", tree))
    assert words in refused(("refs/heads/bad", git.commit_tree(tree, "origin/main")))


@pytest.mark.parametrize("name", [b"a/b", b"../up"])
def test_names_with_a_slash_are_refused_by_git(git, refused, name):
    tree = git.tree(("100644", name, git.blob(b"x")))
    refused(("refs/heads/bad", git.commit_tree(tree)), error=PackRefused)


def test_a_bad_path_in_an_older_commit_is_found(git, refused):
    bad = git.commit_tree(git.tree(("100644", b"..", git.blob(b"x"))), "origin/main")
    good = git.commit_tree(git("rev-parse", "origin/main^{tree}"), bad)
    assert "'..'" in refused((MAIN, good))


def test_a_path_of_300_levels_is_refused(git, refused):
    tree = git.tree(("100644", b"f", git.blob(b"x")))
    for _ in range(300):
        tree = git.tree(("40000", b"d", tree))
    assert "levels" in refused(("refs/heads/deep", git.commit_tree(tree)))


def test_a_folder_moved_deeper_is_looked_at_again(repo, git, refused):
    """It was fine where it stood first, and is too deep where it stands now."""
    tree = git.tree(("100644", b"f", git.blob(b"x")))
    for _ in range(40):
        tree = git.tree(("40000", b"d", tree))
    deep = tree
    for _ in range(40):
        deep = git.tree(("40000", b"d", deep))
    both = git.tree(("40000", b"a", tree), ("40000", b"b", deep))
    assert "levels" in refused(("refs/heads/deep", git.commit_tree(both)))


def test_a_few_objects_that_stand_for_very_many_files_are_refused(git, refused, settings):
    settings.MAX_PUSH_OBJECTS = 100_000
    tree = git.tree(("100644", b"f", git.blob(b"x")))
    for _ in range(12):
        tree = git.tree(*(("40000", b"d%d" % i, tree) for i in range(10)))
    started = time.monotonic()
    words = refused(("refs/heads/bomb", git.commit_tree(tree)), error=PackRefused)
    assert "more than 100000 files" in words
    assert time.monotonic() - started < 30


def test_a_large_regular_file_is_refused_with_the_way_out(git, refused, settings):
    settings.MAX_REGULAR_FILE_BYTES = 1000
    words = refused((MAIN, git.commit({"sub/big.txt": "x" * 1001})))
    assert "sub/big.txt has 1001 bytes" in words
    assert "git lfs migrate import" in words


def test_a_large_file_that_a_later_commit_removes_is_refused(git, refused, settings):
    settings.MAX_REGULAR_FILE_BYTES = 1000
    git.commit({"big.txt": "x" * 1001})
    (git.folder / "big.txt").unlink()
    assert "big.txt" in refused((MAIN, git.commit({})))


def test_attributes_with_endless_lines_are_refused(git, refused):
    sha = git.commit({".gitattributes": "*.bin " + "a" * 3000 + "\n"})
    refused((MAIN, sha), error=(PushRefused, PackRefused))


# Large content


def test_a_pointer_to_content_that_was_never_sent_is_refused(git, refused):
    words = refused((MAIN, git.commit({"w.bin": format_pointer("a" * 64, 5)})))
    assert "w.bin is a large file" in words
    assert "git lfs push" in words


def test_a_pointer_to_content_of_another_repository_is_refused(repo, git, refused, owner):
    blob = store_blob(make_repo(owner, "other"), b"secret")
    words = refused((MAIN, git.commit({"w.bin": format_pointer(blob.sha256, blob.size_bytes)})))
    assert "never sent" in words


def test_a_pointer_with_the_wrong_size_is_refused(repo, git, refused):
    blob = store_blob(repo, b"weights")
    words = refused((MAIN, git.commit({"w.bin": format_pointer(blob.sha256, 8)})))
    assert "7 bytes, not 8" in words


def test_a_pointer_in_history_counts(git, refused):
    git.commit({"w.bin": format_pointer("a" * 64, 5)})
    assert "w.bin" in refused((MAIN, git.commit({"w.bin": "plain"})))


# Packs


@pytest.mark.parametrize(
    "pack",
    [
        b"",
        b"PACK",
        b"this is no pack of anything",
        struct.pack(">4sII", b"PACK", 9, 1) + b"x" * 40,
        struct.pack(">4sII", b"PACK", 2, 1) + b"x" * 40,
        struct.pack(">4sII", b"PACK", 2, 50) + b"x" * 4000,
        struct.pack(">4sII", b"PACK", 2, 0) + b"x" * 20,
        struct.pack(">4sII", b"PACK", 2, 4_000_000_000) + b"x" * 40,
    ],
)
def test_what_is_no_pack_is_refused(git, refused, pack):
    refused((MAIN, git.commit({"x": "1"})), pack=pack, error=PackRefused)


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_pack_that_is_cut_off_leaves_nothing(git, refused, count, keep):
    sha = git.commit({f"f{i}": os.urandom(300).hex() for i in range(count)})
    pack = git.pack(sha, "^origin/main")
    refused((MAIN, sha), pack=pack[: int(len(pack) * keep)], error=PackRefused)


@pytest.mark.parametrize("count", [1, 40])
def test_a_flipped_bit_is_found(git, refused, count):
    sha = git.commit({f"f{i}": os.urandom(300).hex() for i in range(count)})
    pack = bytearray(git.pack(sha, "^origin/main"))
    pack[len(pack) // 2] ^= 4
    refused((MAIN, sha), pack=bytes(pack), error=PackRefused)


def test_a_thin_pack_without_its_bases_is_refused(owner, git, refused, repo):
    text = os.urandom(4000).hex()
    base = git.commit({f"f{i}": f"{i}{text}" for i in range(30)})
    sha = git.commit({f"f{i}": f"{i}{text}more" for i in range(30)})
    words = refused((MAIN, sha), pack=git.pack(sha, f"^{base}"), error=PackRefused)
    assert "not here" in words


@pytest.mark.parametrize("files", [1, 40])
def test_a_pack_that_lacks_what_it_names_is_refused(git, refused, files):
    sha = git.commit({f"f{i}": f"{i}" for i in range(files)})
    tip = git.commit({"last": "x"})
    refused((MAIN, tip), pack=git.pack(tip, f"^{sha}", options=()), error=PackRefused)


def test_a_target_that_was_not_sent_is_refused(git, refused):
    sha = git.commit({"x": "1"})
    refused((MAIN, sha), pack=git.pack("^origin/main"), error=PackRefused)


def test_objects_that_no_pushed_ref_leads_to_are_refused(git, refused):
    stray = git.commit_tree(git.tree(("100644", b"..", git.blob(b"x"))), "origin/main")
    sha = git.commit({"x": "1"})
    pack = git.pack(stray, sha, "^origin/main")
    assert "none of the pushed refs" in refused((MAIN, sha), pack=pack, error=PackRefused)


@pytest.mark.parametrize("limit", ["MAX_PUSH_BYTES", "MAX_PUSH_OBJECTS"])
def test_a_push_above_the_limits_is_refused(git, refused, settings, limit):
    setattr(settings, limit, 20)
    sha = git.commit({f"f{i}": os.urandom(300).hex() for i in range(40)})
    words = refused((MAIN, sha), error=PackRefused)
    assert "20 bytes" in words or "20 are allowed" in words


def _pack_of(*entries):
    """A pack of (type, size, packed data)."""
    body = struct.pack(">4sII", b"PACK", 2, len(entries))
    for kind, size, packed in entries:
        head, rest = [(kind << 4) | (size & 15)], size >> 4
        while rest:
            head[-1] |= 128
            head.append(rest & 127)
            rest >>= 7
        body += bytes(head) + packed
    return body + sha1(body).digest()


@pytest.mark.parametrize(("kind", "count"), [(1, 1), (2, 17)])
def test_a_bomb_of_one_huge_object_is_refused(git, refused, settings, kind, count):
    """A commit, a tree: half a gigabyte of zeros in half a megabyte."""
    settings.GIT_MEMORY_LIMIT_BYTES = 256 * 1024**2
    size, packer = 1 << 29, zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(512)) + packer.flush()
    small = (3, 1, zlib.compress(b"x"))
    pack = _pack_of((kind, size, packed), *[small] * (count - 1))
    words = refused((MAIN, git.commit({"x": "1"})), pack=pack, error=PackRefused)
    assert "too much memory" in words


def test_a_huge_commit_message_is_refused(git, refused):
    sha = git("commit-tree", "HEAD^{tree}", "-p", "HEAD", stdin=b"x" * 2_000_000)
    assert "has 2000" in refused((MAIN, sha), error=PackRefused)


def test_a_push_that_takes_too_long_is_stopped(git, refused, settings):
    settings.GIT_TIME_LIMIT_S = 0
    sha = git.commit({"x": "1"})
    assert "longer than" in refused((MAIN, sha), error=PackRefused)


def test_a_push_that_the_quota_has_no_room_for_is_refused(repo, git, refused, settings):
    settings.QUOTA_BYTES = 60_000
    sha = git.commit({"large.dat": os.urandom(60_000)})
    assert "may hold" in refused((MAIN, sha), error=QuotaExceeded)
    push(repo, git, (MAIN, git.commit_tree("HEAD~1^{tree}", "origin/main")))


def test_a_full_disk_is_named(repo, git, refused, monkeypatch):
    def no_room(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", no_room)
    with pytest.raises(RepositoryFull):
        push(repo, git, (MAIN, git.commit({"x": "1"})))
    assert git_of(repo).ref(MAIN) == git("rev-parse", "origin/main")
    assert list(incoming_path().iterdir()) == []


def test_a_busy_repository_is_named_and_left_alone(repo, git, refused, monkeypatch):
    sha = git.commit({"x": "1"})
    impatient = Repository(git_path(repo), lock_timeout_s=0.05)
    monkeypatch.setattr(pushes, "git_of", lambda repo: impatient)
    with git_of(repo).lock(), pytest.raises(RepositoryBusy):
        push(repo, git, (MAIN, sha))
    assert git_of(repo).ref(MAIN) == git("rev-parse", "origin/main")


def test_the_sweep_removes_what_a_killed_server_left(repo, settings):
    old, fresh = incoming_path() / "push-old", incoming_path() / "push-fresh"
    for folder in (old, fresh):
        (folder / "pack").mkdir(parents=True)
        (folder / "pack" / "tmp_pack_x").write_bytes(b"half")
    past = time.time() - settings.GIT_TIME_LIMIT_S - 4000
    os.utime(old, (past, past))
    assert sweep_quarantines() == 1
    assert list(incoming_path().iterdir()) == [fresh]
