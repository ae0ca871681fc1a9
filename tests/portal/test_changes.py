"""The page of a commit, and of the tensors of one file between two commits."""

from __future__ import annotations

import hashlib
import json
import re
import struct

import numpy as np
import pytest
from safetensors.numpy import save

from hub.models import Repo
from hub.portal import changes
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, commit_large, make_repo

pytestmark = pytest.mark.django_db
MAY_READ = {"owner", "member", "reader", "admin"}
FILE = "model.safetensors"


def weights(**shapes: int) -> bytes:
    return save({name: np.zeros(size, np.float32) for name, size in shapes.items()})


@pytest.fixture
def public(cast: Cast) -> Repo:
    return make_repo(cast.organization, "open", creator=cast.owner)


@pytest.fixture
def private(cast: Cast) -> Repo:
    return make_repo(cast.organization, "hidden", is_private=True, creator=cast.owner)


def page_of(cast: Cast, repo: Repo, sha: str, query: str = "") -> str:
    answer = cast.web_client("anonymous").get(f"{repo.url_path}/commit/{sha}{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_changed_words_are_marked_and_content_is_escaped(cast: Cast, public: Repo) -> None:
    commit(public, {"config.json": '{"lr": 3, "x": "<script>alert(1)</script>"}\n'})
    sha = commit(public, {"config.json": '{"lr": 4, "x": "<script>alert(1)</script>"}\n'})
    page = page_of(cast, public, sha)
    assert "<del>3</del>" in page
    assert "<ins>4</ins>" in page
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_large_file_shows_sizes_digests_and_leads_to_its_tensors(cast: Cast, public: Repo) -> None:
    old, new = weights(a=1000), weights(a=2000)
    before = commit_large(public, {FILE: old})
    sha = commit_large(public, {FILE: new})
    page = page_of(cast, public, sha)
    for content in (old, new):
        assert hashlib.sha256(content).hexdigest() in page
    assert "git-lfs.github.com/spec" not in page
    assert f"/tensors/{sha}/{FILE}?old={before}" in page


def test_binary_and_long_files_say_so_and_link_both_versions(
    cast: Cast, public: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_FILE_LINES", 10)
    monkeypatch.setattr(changes, "MAX_FILE_CHARS", 1_000)
    old = {"noise.dat": bytes(range(256)), "long.txt": "a\n" * 20, "wide.txt": "a" * 999}
    new = {"noise.dat": bytes(range(1, 256)), "long.txt": "b\n" * 20, "wide.txt": "b" * 999}
    before, sha = commit(public, old), commit(public, new)
    page = page_of(cast, public, sha)
    assert "its lines cannot be compared" in page
    assert page.count("Too much changed") == 2
    for name in old:
        assert f"/blob/{before}/{name}" in page
        assert f"/blob/{sha}/{name}" in page


def test_many_files_come_in_pages(
    cast: Cast, public: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "FILES_PER_PAGE", 2)
    sha = commit(public, {f"{name}.txt": f"{name}\n" for name in "abcde"})
    shown = [page_of(cast, public, sha, f"?p={number}") for number in range(3)]
    assert ["a.txt" in page for page in shown] == [True, False, False]
    assert ["e.txt" in page for page in shown] == [False, False, True]
    assert ['rel="next"' in page for page in shown] == [True, True, False]
    assert "5 files changed" in shown[0]


def test_renamed_file_names_both_paths(cast: Cast, public: Repo) -> None:
    from hub.actions.commits import commit_files
    from hub.vcs.operations import AddFile, DeleteFile

    text = "".join(f"line {n}\n" for n in range(50))
    commit(public, {"before.txt": text})
    made = commit_files(
        repo=public,
        ref="refs/heads/main",
        operations=[
            DeleteFile(path="before.txt"),
            AddFile(path="after.txt", content=text.encode()),
        ],
        message="Rename",
        acting_user=cast.owner,
    )
    page = page_of(cast, public, made.commit_sha)
    assert "before.txt →" in page
    assert "only the name or the mode changed" in page


@pytest.mark.parametrize("role", ROLES)
def test_tensors_are_for_who_may_read(cast: Cast, public: Repo, private: Repo, role: str) -> None:
    client = cast.web_client(role)
    for repo in (public, private):
        old = commit_large(repo, {FILE: weights(a=10)})
        new = commit_large(repo, {FILE: weights(secret_layer=12)})
        answer = client.get(f"{repo.url_path}/tensors/{new}/{FILE}?old={old}")
        if repo is public or role in MAY_READ:
            assert answer.status_code == 200
            assert b"secret_layer" in answer.content
        else:
            assert answer.status_code == (401 if role == "anonymous" else 404)
            assert b"secret_layer" not in answer.content


def test_tensors_come_alone_for_htmx(cast: Cast, public: Repo) -> None:
    new = commit(public, {FILE: weights(a=10)})
    client = cast.web_client("anonymous")
    answer = client.get(f"{public.url_path}/tensors/{new}/{FILE}", headers={"HX-Request": "true"})
    assert b"<html" not in answer.content
    assert b"<table" in answer.content


def test_tensors_of_one_version_are_listed_filtered_and_paged(
    cast: Cast, public: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five numbers of 4 bytes and three of 2: by hand."""
    monkeypatch.setattr("hub.portal.tensors.MAX_ROWS", 2)
    held = {"layer.0.w": np.zeros((1, 4), np.float32), "layer.1.w": np.zeros(1, np.float32),
            "head": np.zeros(3, np.float16)}  # fmt: skip
    commit_large(public, {FILE: save(held)})
    client = cast.web_client("anonymous")
    blob = client.get(f"{public.url_path}/blob/main/{FILE}").content.decode()
    found = re.search(rf'hx-get="({public.url_path}/tensors/\w+/{FILE})"', blob)
    assert found
    address = found.group(1)

    def names(query: str = "") -> list[str]:
        page = client.get(address + query).content.decode()
        return re.findall(r'<th scope="row" class="mono">([^<]*)', page)

    first = " ".join(re.sub(r"<[^>]+>", " ", client.get(address).content.decode()).split())
    assert "Tensors 3 8 parameters" in first
    assert "layer.0.w F32 1 × 4 4 16" in first
    assert names() == ["head", "layer.0.w"]
    assert names("?p=1") == ["layer.1.w"]
    assert names("?q=LAYER") == ["layer.0.w", "layer.1.w"]
    assert names("?q=nothing") == []


def test_a_hostile_header_is_a_sentence_on_the_page(cast: Cast, public: Repo) -> None:
    shape = [0, *[10**4000] * 60]
    header = {"\ud800<b>": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    text = json.dumps(header).encode()
    odd = commit(public, {FILE: struct.pack("<Q", len(text)) + text})
    client = cast.web_client("anonymous")
    answer = client.get(f"{public.url_path}/tensors/{odd}/{FILE}")
    assert answer.status_code == 200
    assert b"?&lt;b&gt;" in answer.content
    assert len(answer.content) < 30_000
    bad = commit(public, {FILE: b"\xff" * 64})
    page = client.get(f"{public.url_path}/tensors/{bad}/{FILE}?old={odd}").content.decode()
    assert "The header is too large." in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tensors/main/README.md", 400),
        ("/tensors/nowhere/model.safetensors", 404),
        ("/tensors/main/model.safetensors?old=nowhere", 404),
    ],
)
def test_tensors_of_what_has_none_is_a_clear_refusal(
    cast: Cast, public: Repo, path: str, status: int
) -> None:
    assert cast.web_client("anonymous").get(public.url_path + path).status_code == status
