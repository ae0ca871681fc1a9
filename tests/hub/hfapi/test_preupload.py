"""C15, C17: how files are to be sent, and checking a card."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.hfapi.upload_mode import IgnorePatterns, LfsPatterns, choose_mode, is_binary
from hub.models import Repo
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return cast.public_repo()


def ask(api: HubApi, repo: Repo, *files: dict[str, Any], **more: Any) -> Any:
    body = {"files": list(files), **more}
    return api.post(f"{repo.api_path}/preupload/main", body)


def file(path: str, content: bytes = b"text", size: int | None = None) -> dict[str, Any]:
    sample = base64.b64encode(content[:512]).decode()
    return {"path": path, "sample": sample, "size": len(content) if size is None else size}


def modes(answer: Any) -> dict[str, str]:
    return {row["path"]: row["uploadMode"] for row in answer.json()["files"]}


def test_mode_follows_attributes_size_and_content(repo: Repo, owner_api: HubApi) -> None:
    answer = ask(
        owner_api,
        repo,
        file("README.md"),
        file("model.safetensors"),
        file("data/train.parquet"),
        file("strange.dat", b"\0\1\2"),
        file("latin1.txt", "Gr\xfc\xdfe".encode("latin-1")),
        file("cut.txt", ("x" * 511 + "é").encode()),
        file("big.txt", size=11 * 1024**2),
        file("empty.bin", b""),
        file(".gitattributes", b"\0"),
    )
    assert modes(answer) == {
        "README.md": "regular",
        "model.safetensors": "lfs",
        "data/train.parquet": "lfs",
        "strange.dat": "lfs",
        "latin1.txt": "lfs",
        "cut.txt": "regular",
        "big.txt": "lfs",
        "empty.bin": "regular",
        ".gitattributes": "regular",
    }


def test_committed_attributes_decide_at_their_revision(repo: Repo, owner_api: HubApi) -> None:
    commit(repo, {".gitattributes": "*.json filter=lfs\n*.bin -filter\n"})
    assert modes(ask(owner_api, repo, file("a.json"), file("b.bin"))) == {
        "a.json": "lfs",
        "b.bin": "regular",
    }


def test_ignore_of_the_body_wins_over_the_committed_one(repo: Repo, owner_api: HubApi) -> None:
    commit(repo, {".gitignore": "*.log\n"})

    def ignored(**more: Any) -> dict[str, bool]:
        answer = ask(owner_api, repo, file("a.log"), file("b.tmp"), **more)
        return {row["path"]: row["shouldIgnore"] for row in answer.json()["files"]}

    assert ignored() == {"a.log": True, "b.tmp": False}
    assert ignored(gitIgnore="*.tmp\n") == {"a.log": False, "b.tmp": True}
    assert ignored(gitIgnore="") == {"a.log": False, "b.tmp": False}


def test_present_content_is_named_so_that_clients_can_skip_it(
    repo: Repo, owner_api: HubApi
) -> None:
    commit(repo, {"a.txt": b"hello"})
    commit_large(repo, {"m.bin": b"\0large"})
    rows = ask(owner_api, repo, file("a.txt"), file("m.bin"), file("new")).json()["files"]
    assert rows[0]["oid"] == hashlib.sha1(b"blob 5\0hello").hexdigest()
    assert rows[1]["oid"] == hashlib.sha256(b"\0large").hexdigest()
    assert "oid" not in rows[2]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"files": {}}, 400),
        ({"files": ["a"]}, 400),
        ({"files": [{"path": "a"}]}, 400),
        ({"files": [{"path": "a", "size": -1}]}, 400),
        ({"files": [{"path": "a", "size": True}]}, 400),
        ({"files": [{"path": "a", "size": 1, "sample": "§"}]}, 400),
        ({"files": [{"path": "../a", "size": 1, "sample": ""}]}, 422),
        ({"files": [{"path": ".git/a", "size": 1, "sample": ""}]}, 422),
        ({"files": [{"path": "a", "size": 1}] * 1001}, 413),
    ],
)
def test_malformed_question_is_refused(
    repo: Repo, owner_api: HubApi, body: Any, status: int
) -> None:
    answer = owner_api.post(f"{repo.api_path}/preupload/main", body)
    assert answer.status_code == status
    assert answer["X-Error-Code"]


def test_unknown_revision_is_a_revision_error(repo: Repo, owner_api: HubApi) -> None:
    answer = owner_api.post(f"{repo.api_path}/preupload/gone", {"files": []})
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")


@pytest.mark.parametrize(
    ("line", "path", "is_lfs"),
    [
        ("*.bin filter=lfs diff=lfs merge=lfs -text", "x.bin", True),
        ("*.bin filter=lfs", "deep/er/x.bin", True),
        ("*.bin filter=lfs", "x.bin/readme.txt", False),
        ("/top.txt filter=lfs", "top.txt", True),
        ("/top.txt filter=lfs", "sub/top.txt", False),
        ("data/*.csv filter=lfs", "data/a.csv", True),
        ("data/*.csv filter=lfs", "data/sub/a.csv", False),
        ("saved/**/* filter=lfs", "saved/a/b", True),
        ("*tfevents* filter=lfs", "run/events.out.tfevents.1", True),
        ('"with space.txt" filter=lfs', "with space.txt", True),
        ("*.bin text", "x.bin", False),
        ("# *.bin filter=lfs", "x.bin", False),
        ("*.bin filter=other", "x.bin", False),
        ("*.bin filter=lfs\nkeep.bin !filter", "keep.bin", False),
        ("[z-a] filter=lfs\n*.x filter=lfs", "a.x", True),
        ("[ filter=lfs", "[", False),
        ("\\ filter=lfs", "\\", False),
    ],
)
def test_attributes_are_read_as_git_reads_them(line: str, path: str, is_lfs: bool) -> None:
    assert LfsPatterns(line).names(path) is is_lfs


@given(st.text(max_size=300), st.text(min_size=1, max_size=60))
def test_no_pattern_file_breaks_the_answer(text: str, path: str) -> None:
    LfsPatterns(text).names(path)
    IgnorePatterns(text).names(path)


def test_hostile_patterns_cost_no_time() -> None:
    star = "*a" * 40 + "b"
    started = time.perf_counter()
    ignored = IgnorePatterns("\n".join([star, "**/" * 30 + star, "*" * 200 + "c"]))
    for _ in range(50):
        assert not ignored.names("a" * 255 + "/" + "a" * 255)
    assert time.perf_counter() - started < 5


def test_patterns_beyond_measure_are_refused(repo: Repo, owner_api: HubApi) -> None:
    text = "\n".join("*a" * 40 + f"b{n}" for n in range(900))
    answer = ask(owner_api, repo, file("a"), gitIgnore=text)
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")
    assert "complicated" in answer["X-Error-Message"]


def test_a_thousand_ordinary_patterns_are_fine(repo: Repo, owner_api: HubApi) -> None:
    text = "\n".join(f"build{n}/*.tmp" for n in range(1000))
    answer = ask(owner_api, repo, file("build999/x.tmp"), gitIgnore=text)
    assert answer.json()["files"][0]["shouldIgnore"] is True


@given(st.text())
def test_text_is_not_binary_wherever_it_is_cut(text: str) -> None:
    data = text.replace("\0", "").encode("utf-8", "ignore")
    assert not is_binary(data[:512])


def test_choose_mode_at_the_limit() -> None:
    none = LfsPatterns("")
    assert choose_mode("a", 10, b"x", none, max_regular_bytes=10) == "regular"
    assert choose_mode("a", 11, b"x", none, max_regular_bytes=10) == "lfs"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("---\nlicense: mit\n---\n# Title\n", 200),
        ("# No front matter\n", 200),
        ("---\nlicense: [unclosed\n---\n", 400),
        ("---\nlicense: no-such-licence\n---\n", 400),
        ("---\n{{{{\n---\n", 400),
        ("", 200),
    ],
)
def test_validate_yaml_answers_json_always(
    anonymous_api: HubApi, content: str, status: int
) -> None:
    answer = anonymous_api.post("/api/validate-yaml", {"content": content, "repoType": "model"})
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"errors", "warnings"}
    assert bool(body["errors"]) is (status == 400)
    assert all(isinstance(row["message"], str) for row in body["errors"] + body["warnings"])
    if status == 200 and "license: mit" not in content:
        assert body["warnings"]


def test_unknown_licence_is_named(anonymous_api: HubApi) -> None:
    body = {"content": "---\nlicense: no-such-licence\n---\n", "repoType": "model"}
    answer = anonymous_api.post("/api/validate-yaml", body)
    assert "license" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("body", [{}, {"content": None}, {"content": 7}])
def test_validate_yaml_without_content_is_400_in_json(anonymous_api: HubApi, body: Any) -> None:
    answer = anonymous_api.post("/api/validate-yaml", body)
    assert answer.status_code == 400
    assert answer.json()["error"]
