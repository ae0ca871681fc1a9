"""Tensors of two versions of a file, whatever lies there."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save

from hub import tensors
from hub.models import Repo
from hub.site import git_of
from hub.tensors import Unreadable, Version, compare_tensors
from hub.vcs.operations import DeleteFile
from ml_core.formats.tensor_diff import TensorDiff
from tests.support.factories import commit, commit_large, make_repo, make_user

pytestmark = pytest.mark.django_db
FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def repo() -> Repo:
    return make_repo(make_user())


def weights(**shapes: int) -> bytes:
    return save({name: np.zeros(size, np.float32) for name, size in shapes.items()})


def raw(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def sharded(repo: Repo, **files: bytes) -> str:
    """Commits shards and the index that names what they hold."""
    names = {name: f"model-{at:05}-of-00002.safetensors" for at, name in enumerate(files, start=1)}
    commit_large(repo, {names[name]: held for name, held in files.items()})
    return commit(repo, {INDEX: json.dumps({"weight_map": names})})


def remove(repo: Repo, path: str) -> str:
    from hub.actions.commits import commit_files

    made = commit_files(
        repo=repo, ref="refs/heads/main", operations=[DeleteFile(path=path)], message="Remove",
        acting_user=repo.creator,
    )  # fmt: skip
    return made.commit_sha


def compare(repo: Repo, old: str | None, new: str, path: str = FILE) -> TensorDiff:
    found = compare_tensors(repo, Version(old, path), Version(new, path))
    assert isinstance(found, TensorDiff), found
    return found


def test_two_versions_of_a_large_file_compare(repo: Repo) -> None:
    old = commit_large(repo, {FILE: weights(a=10, b=4)})
    new = commit_large(repo, {FILE: weights(a=12, c=4)})
    found = compare(repo, old, new)
    assert [(c.name, c.kind) for c in found.changes] == [
        ("a", "changed"), ("b", "removed"), ("c", "added"),
    ]  # fmt: skip


def test_a_file_that_was_not_there_is_all_new(repo: Repo) -> None:
    old = git_of(repo).resolve("main")
    new = commit(repo, {FILE: weights(a=10)})
    for before in (old, None):
        found = compare(repo, before, new)
        assert [(c.name, c.kind) for c in found.changes] == [("a", "added")]
    assert compare(repo, new, old).count("removed") == 1


def test_a_model_split_into_shards_equals_itself(repo: Repo) -> None:
    whole = commit_large(repo, {FILE: weights(a=10, b=4)})
    sharded(repo, a=weights(a=10), b=weights(b=4))
    split = remove(repo, FILE)
    for path in (FILE, INDEX):
        found = compare(repo, whole, split, path)
        assert (found.changes, found.n_same) == ((), 2)


def test_shards_of_one_index_are_compared_together(repo: Repo) -> None:
    old = sharded(repo, a=weights(a=10), b=weights(b=4))
    new = sharded(repo, b=weights(b=4), a=weights(a=11))
    found = compare(repo, old, new, INDEX)
    assert [(c.name, c.kind) for c in found.changes] == [("a", "changed")]


def test_only_the_head_of_a_large_file_is_read(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.storage import Store

    # no file of this machine to open: every byte goes through a read of the store that we count
    monkeypatch.setattr(Store, "local_path", lambda self, key: None)
    n_read = 0
    stream = Store.stream

    def counting(self, key, start, end):
        nonlocal n_read
        for piece in stream(self, key, start, end):
            n_read += len(piece)
            yield piece

    monkeypatch.setattr(Store, "stream", counting)
    old = commit_large(repo, {FILE: weights(a=4_000_000)})
    new = commit_large(repo, {FILE: weights(a=4_000_001)})
    n_read = 0
    assert compare(repo, old, new).count("changed") == 1
    assert 0 < n_read <= 2 * 1024**2 + 16  # a read ahead of a MiB each; the files have 16 MB


SURROGATE = b'{"\\ud800": {"dtype": "F32", "shape": [1], "data_offsets": [0, 3]}}'


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "truncated"),
        (b"\xff" * 8, "header-too-large"),
        (raw(b"{"), "header-not-json"),
        (raw(b"[" * 100_000), "header-not-json"),
        (raw({"a": {"dtype": "F32", "shape": [2**70], "data_offsets": [0, 4]}}), "bad-shape"),
        (raw({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
         "unknown-dtype"),
        (raw(SURROGATE, b"123"), "size-mismatch"),
        (raw({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345"),
         "trailing-bytes"),
    ],
)  # fmt: skip
def test_a_hostile_header_is_a_reason(repo: Repo, content: bytes, code: str) -> None:
    good = commit(repo, {FILE: weights(a=1)})
    bad = commit(repo, {FILE: content})
    for old, new in ((good, bad), (bad, good)):
        found = compare_tensors(repo, Version(old, FILE), Version(new, FILE))
        assert isinstance(found, Unreadable)
        assert (found.path, found.code) == (FILE, code)


@pytest.mark.parametrize(
    ("index", "code"),
    [
        (b"{", "index-not-json"),
        (b'{"weight_map": {"a": "../../secret"}}', "shard-path"),
        (b'{"weight_map": {"a": "absent.safetensors"}}', "missing-shard"),
        (json.dumps({"weight_map": {str(n): f"{n}.st" for n in range(300)}}).encode(),
         "too-many-shards"),
    ],
)  # fmt: skip
def test_a_hostile_index_is_a_reason(repo: Repo, index: bytes, code: str) -> None:
    new = commit(repo, {INDEX: index})
    found = compare_tensors(repo, Version(None, INDEX), Version(new, INDEX))
    assert isinstance(found, Unreadable)
    assert found.code == code


def test_headers_of_all_shards_share_one_limit(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    new = sharded(repo, a=weights(a=10), b=weights(b=4))
    assert compare(repo, None, new, INDEX).count("added") == 2
    monkeypatch.setattr(tensors, "MAX_HEADERS_BYTES", 100)
    found = compare_tensors(repo, Version(None, INDEX), Version(new, INDEX))
    assert isinstance(found, Unreadable)
    assert found.code == "header-too-large"


def test_content_that_was_lost_is_a_reason(repo: Repo) -> None:
    from hub.models import RepoBlob

    new = commit_large(repo, {FILE: weights(a=10)})
    RepoBlob.objects.filter(repo=repo).delete()
    found = compare_tensors(repo, Version(None, FILE), Version(new, FILE))
    assert isinstance(found, Unreadable)
    assert "not stored" in found.message
