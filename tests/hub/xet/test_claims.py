"""What a client claims of xorbs, files and contents: who may name which, and what comes of lies.

Rows of "What the server must verify" that test_uploads.py, test_xorb.py, test_shard.py and
test_tokens.py leave open, and the whole of it as one property.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.models import RepoBlob, User, XetFile
from hub.xet.hashing import format_hash
from hub.xet.shard import ShardFile, ShardXorb, build_shard
from hub.xet.terms import Term, TermList
from tests.hub.hfapi.conftest import HubApi, header, large_line
from tests.support.cas import CasClient
from tests.support.cast import ROLES, Cast, client_with
from tests.support.factories import make_repo, make_token
from tests.support.xet import floats, make_file, make_shard, make_xorb, noise, split, whole_file

Kept = Callable[[], dict[str, Any]]

XORB = make_xorb(split(floats(200_000), 60_000), scheme=2)
OTHER = make_xorb([noise(5000), noise(900, seed=1), noise(70, seed=2)])
FILE = whole_file(XORB)
SIZE = FILE.terms.size_bytes


@pytest.fixture
def cas(cast: Cast) -> CasClient:
    client = CasClient.for_repo(cast.owner, cast.public_repo())
    for xorb in (XORB, OTHER):
        assert client.put_xorb(xorb).status_code == 200
    return client


# --- Lies about xorbs ------------------------------------------------------------------------

HONEST = XORB.shard_xorb()
LISTS: dict[str, dict[str, Any]] = {
    "another length": {"lengths": HONEST.lengths[::-1]},
    "another offset": {"starts": HONEST.starts + np.uint32(1)},
    "another total": {"unpacked_bytes": HONEST.unpacked_bytes + 1},
    "hashes in another order": {
        "chunk_hashes": HONEST.chunk_hashes[32:] + HONEST.chunk_hashes[:32]
    },
    "another xorb's name": {"xorb_hash": OTHER.hash},
}


@pytest.mark.parametrize("lie", LISTS)
def test_chunk_list_that_is_not_the_servers_own_is_refused(
    cas: CasClient, kept: Kept, lie: str
) -> None:
    before = kept()
    listed = dataclasses.replace(HONEST, **LISTS[lie])
    answer = cas.put_shard(build_shard([FILE], [listed]))
    assert (answer.status_code, kept()) == (400, before)
    assert cas.put_shard(build_shard([FILE], [HONEST])).status_code == 200


def test_stored_bytes_and_flags_are_not_held_against_a_client(cas: CasClient) -> None:
    body = bytearray(make_shard([FILE], [XORB]))
    at = body.rindex(XORB.hash)
    body[at + 44 : at + 48] = b"\x07\x00\x00\x00"
    assert cas.put_shard(bytes(body)).status_code == 200


# --- Lies about files ------------------------------------------------------------------------


def test_known_file_under_a_false_digest_is_refused(cast: Cast, cas: CasClient, kept: Kept) -> None:
    """Its content is not decoded again, and yet nobody binds another oid to it."""
    assert cas.put_shard(make_shard([FILE], [XORB])).status_code == 200
    before = kept()
    lying = dataclasses.replace(FILE, sha256=whole_file(OTHER).sha256)
    for user in (cast.owner, cast.stranger):
        mine = CasClient.for_repo(user, make_repo(user))
        assert mine.put_shard(make_shard([lying])).status_code == 400
        assert mine.put_shard(make_shard([lying, whole_file(OTHER)], [OTHER])).status_code == 400
    assert kept() == before


def lies_about(file: ShardFile, draw: Any) -> ShardFile:
    """The recipe with one claim that is not true."""
    first, *rest = file.terms
    assert file.range_hashes is not None
    match draw(st.sampled_from(["file", "range", "sha256", "length", "start", "order", "none"])):
        case "file":
            return dataclasses.replace(file, file_hash=OTHER.hash)
        case "range":
            return dataclasses.replace(file, range_hashes=(bytes(32), *file.range_hashes[1:]))
        case "sha256":
            return dataclasses.replace(file, sha256="ab" * 32)
        case "length":
            longer = dataclasses.replace(first, unpacked_bytes=first.unpacked_bytes + 1)
            return dataclasses.replace(file, terms=TermList.of([longer, *rest]))
        case "start":
            wider = dataclasses.replace(first, chunk_end=first.chunk_end + 1)
            return dataclasses.replace(file, terms=TermList.of([wider, *rest]))
        case "order":
            unknown = Term(bytes(32), first.chunk_start, first.chunk_end, first.unpacked_bytes)
            return dataclasses.replace(file, terms=TermList.of([unknown, *rest]))
    return dataclasses.replace(file, range_hashes=None)


@st.composite
def claims(draw: Any) -> tuple[list[ShardFile], list[ShardXorb], bool]:
    """A shard of true recipes over both xorbs, or with one lie among them."""
    files = []
    for _ in range(draw(st.integers(1, 3))):
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            xorb = draw(st.sampled_from([XORB, OTHER]))
            start = draw(st.integers(0, len(xorb.chunks) - 1))
            parts.append((xorb, start, draw(st.integers(start + 1, len(xorb.chunks)))))
        files.append(make_file(*parts))
    listed = [xorb.shard_xorb() for xorb in (XORB, OTHER) if draw(st.booleans())]
    is_true = draw(st.booleans())
    if not is_true:
        at = draw(st.integers(0, len(files) - 1))
        files[at] = lies_about(files[at], draw)
    return files, listed, is_true


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(claims())
def test_a_shard_is_taken_exactly_if_all_of_it_is_true(
    cas: CasClient, kept: Kept, shard: tuple[list[ShardFile], list[ShardXorb], bool]
) -> None:
    files, listed, is_true = shard
    before = kept()
    answer = cas.put_shard(build_shard(files, listed))
    if is_true:
        assert answer.status_code == 200, answer.content
        for file in files:
            row = XetFile.objects.get(file_hash=format_hash(file.file_hash))
            assert row.sha256 == file.sha256
    else:
        assert answer.status_code == 400
        assert kept() == before


# --- Who may name what -----------------------------------------------------------------------


@pytest.fixture
def secret(cast: Cast) -> None:
    """A file of a private repository: its xorb, its hash and its oid may have become known."""
    client = CasClient.for_repo(cast.owner, cast.private_repo())
    assert client.put_xorb(XORB).status_code == 200
    assert client.put_shard(make_shard([FILE], [XORB])).status_code == 200


@pytest.mark.parametrize("role", [role for role in ROLES if role != "anonymous"])
def test_names_alone_open_nothing_in_another_repository(
    cast: Cast, secret: None, kept: Kept, role: str
) -> None:
    """Whoever may read the private repository asks there; elsewhere a name is not enough."""
    user = cast.user(role)
    assert user is not None
    repo = make_repo(user)
    before = kept()
    mine = CasClient.for_repo(user, repo)
    name = format_hash(FILE.file_hash)
    assert mine.reconstruction(FILE.file_hash).status_code == 404
    assert mine.reconstruction(FILE.file_hash, version=1).status_code == 404
    assert mine.http.head(f"/cas/v1/files/{name}").status_code == 404
    assert mine.http.head(f"/cas/v1/xorbs/default/{format_hash(XORB.hash)}").status_code == 404
    assert mine.put_shard(make_shard([guess()])).status_code == 400
    assert commit_of(user, f"{repo.api_path}/commit/main").status_code == 400
    assert commit_of(user, f"{repo.api_path}/commit/main?create_pr=1").status_code == 400
    assert lfs_of(user, repo.url_path, "download")["error"]["code"] == 404
    assert "upload" in lfs_of(user, repo.url_path, "upload")["actions"]
    assert kept() == before
    assert not RepoBlob.objects.filter(repo=repo).exists()
    knows = role in {"owner", "member", "reader", "admin"}
    assert (mine.query_chunk(XORB.index.hash_at(0)).status_code == 200) is knows


def guess() -> ShardFile:
    """The recipe as somebody writes it who knows names, and no chunk hash."""
    return dataclasses.replace(FILE, range_hashes=(bytes(32),) * len(FILE.terms))


def commit_of(user: User, path: str) -> Any:
    api = HubApi(make_token(user))
    return api.commit(path, [header(), large_line("x.bin", str(FILE.sha256), SIZE)])


def lfs_of(user: User, url_path: str, operation: str) -> Any:
    item = {"oid": FILE.sha256, "size": SIZE}
    answer = client_with(make_token(user)).post(
        f"{url_path}.git/info/lfs/objects/batch",
        json.dumps({"operation": operation, "objects": [item]}),
        content_type="application/vnd.git-lfs+json",
    )
    assert answer.status_code in {200, 404}, answer.content
    return answer.json()["objects"][0]
