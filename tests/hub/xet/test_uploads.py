"""Xorbs and shards through the CAS: the answers, and what is left behind."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from collections.abc import Callable
from typing import Any

import lz4.frame
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.actions.shards import register_shard
from hub.actions.xorb_links import relink_xorbs
from hub.actions.xorbs import store_xorb
from hub.errors import InvalidInput
from hub.models import Blob, RepoBlob, RepoXorb, XetFile, Xorb, XorbChunk
from hub.site import store
from hub.xet.chunk_ranges import unpack_ranges
from hub.xet.content import read_index, xorb_key
from hub.xet.hashing import chunk_hash, format_hash
from hub.xet.shard import MAX_SHARD_BYTES, ShardFile
from hub.xet.terms import Term, TermList
from hub.xet.xorb import MAX_UPLOAD_BYTES
from tests.support.cas import CasClient
from tests.support.cast import Cast, client_with
from tests.support.xet import (
    MadeXorb,
    floats,
    make_file,
    make_shard,
    make_xorb,
    noise,
    record,
    split,
    whole_file,
)

Kept = Callable[[], dict[str, Any]]

XORB = make_xorb(split(floats(300_000), 70_000), scheme=2)
OTHER = make_xorb([noise(5000), noise(900, seed=1)])


@pytest.fixture
def cas(cast: Cast) -> CasClient:
    return CasClient.for_repo(cast.owner, cast.public_repo())


# --- Xorbs -----------------------------------------------------------------------------------


def test_a_xorb_is_stored_with_its_index(cas: CasClient, kept: Kept) -> None:
    assert cas.put_xorb(XORB).json() == {"was_inserted": True}
    row = Xorb.objects.get()
    assert row.hash == format_hash(XORB.hash)
    assert row.size_bytes == len(XORB.body)
    assert row.unpacked_bytes == 300_000
    assert row.chunk_count == 5
    assert store().read_range(xorb_key(XORB.hash), 0, row.size_bytes) == XORB.body
    assert read_index(store(), XORB.hash).lengths() == XORB.index.lengths()
    assert kept()["tmp"] == []


def test_a_second_upload_keeps_the_first_bytes(cas: CasClient, kept: Kept) -> None:
    cas.put_xorb(XORB)
    before = kept()
    again = make_xorb(XORB.chunks, scheme=0)
    assert again.hash == XORB.hash
    assert cas.put_xorb(again).json() == {"was_inserted": False}
    assert kept() == before
    assert store().read_range(xorb_key(XORB.hash), 0, len(XORB.body)) == XORB.body


def test_bytes_without_a_row_are_taken_up(cas: CasClient) -> None:
    """As a server leaves it that was killed between the two steps."""
    cas.put_xorb(XORB)
    Xorb.objects.all().delete()
    again = make_xorb(XORB.chunks, scheme=0)
    assert cas.put_xorb(again).json() == {"was_inserted": True}
    row = Xorb.objects.get()
    assert row.size_bytes == len(XORB.body)
    assert store().read_range(xorb_key(XORB.hash), 0, row.size_bytes) == XORB.body


BOMB = lz4.frame.compress(bytes(50_000_000), block_size=lz4.frame.BLOCKSIZE_MAX64KB)

HOSTILE_XORBS = {
    "another xorb's hash": (XORB.body, OTHER.hash),
    "empty": (b"", XORB.hash),
    "cut short": (XORB.body[:-1], XORB.hash),
    "a chunk missing": (XORB.body[: XORB.index.byte_range(0, 4)[1]], XORB.hash),
    "a flipped byte": (b"\0" + XORB.body[1:20] + b"\xff" + XORB.body[21:], XORB.hash),
    "trailing bytes": (XORB.body + b"\0" * 12, XORB.hash),
    "a bomb": (record(bytes(131072), 1, payload=BOMB), chunk_hash(bytes(131072))),
    "too many chunks": (record(b"a") * 8193, chunk_hash(b"a")),
    "not a xorb": (b"<html>hello</html>", XORB.hash),
}


@pytest.mark.parametrize("name", HOSTILE_XORBS)
def test_a_hostile_xorb_is_refused_and_leaves_nothing(
    cas: CasClient, kept: Kept, name: str
) -> None:
    before = kept()
    body, claimed = HOSTILE_XORBS[name]
    answer = cas.put_body(format_hash(claimed), body)
    assert answer.status_code == 400, answer.content
    assert answer["X-Error-Message"]
    assert kept() == before


def test_too_long_a_xorb_is_refused(cas: CasClient, kept: Kept) -> None:
    before = kept()
    answer = cas.put_body("0" * 64, bytes(MAX_UPLOAD_BYTES + 1))
    assert answer.status_code == 413
    assert kept() == before


CHUNK = record(noise(131072))


def test_too_long_a_stream_is_cut(kept: Kept, db: None) -> None:
    class Endless:
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += len(CHUNK)
            return CHUNK

    source = Endless()
    with pytest.raises(InvalidInput, match="larger than"):
        store_xorb(xorb_hash="0" * 64, body=source)
    assert source.given < MAX_UPLOAD_BYTES + (2 << 20)
    assert kept()["tmp"] == kept()["store"] == []


@pytest.mark.parametrize("name", ["x" * 64, "A" * 64, "0" * 63])
def test_a_hash_of_another_form_is_no_address(cas: CasClient, name: str) -> None:
    assert cas.put_body(name, XORB.body).status_code == 404


def test_a_full_disk_leaves_nothing(
    cas: CasClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept()

    def full(write: Any, block: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hub.actions.xorbs._write_out", full)
    answer = cas.put_xorb(XORB)
    assert answer.status_code == 507
    assert kept() == before


@pytest.mark.parametrize("role", ["member", "stranger"])
def test_read_tokens_do_not_upload(cast: Cast, kept: Kept, role: str) -> None:
    reader = CasClient.for_repo(cast.user(role), cast.public_repo(), scope="read")
    before = kept()
    for answer in (reader.put_xorb(XORB), reader.put_shard(b""), reader.put_shard(b"", version=2)):
        assert answer.status_code == 403
    assert kept() == before


def test_without_a_token_nothing_goes(cast: Cast, kept: Kept) -> None:
    before = kept()
    for token in (None, "hf_something", "a:b:c"):
        client = CasClient(client_with(token))
        for answer in (
            client.put_xorb(XORB),
            client.put_shard(b""),
            client.put_shard(b"", version=2),
            client.reconstruction(bytes(32)),
            client.query_chunk(bytes(32)),
        ):
            assert answer.status_code == 401
    assert kept() == before


# --- Shards ----------------------------------------------------------------------------------


def test_a_shard_registers_its_files(cast: Cast, cas: CasClient) -> None:
    for xorb in (XORB, OTHER):
        cas.put_xorb(xorb)
    file = make_file((XORB, 0, 3), (OTHER, 0, 1), (XORB, 4, 5))
    content = XORB.data(0, 3) + OTHER.data(0, 1) + XORB.data(4, 5)
    assert cas.put_shard(make_shard([file, whole_file(OTHER)], [XORB, OTHER])).json() == {
        "result": 1
    }
    row = XetFile.objects.get(file_hash=format_hash(file.file_hash))
    assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert row.size_bytes == len(content)
    blob = Blob.objects.get(sha256=row.sha256)
    assert (blob.size_bytes, blob.is_plain) == (len(content), False)
    repo = cast.organization.namespace.repos.get()
    assert RepoBlob.objects.get(blob=blob).xet_file == row
    assert RepoBlob.objects.get(blob=blob).repo == repo
    assert RepoXorb.objects.filter(repo=repo).count() == 2
    first = format_hash(XORB.index.hash_at(0))
    assert XorbChunk.objects.get(chunk_hash=first).xorb.hash == format_hash(XORB.hash)


def test_registering_again_changes_nothing(cas: CasClient, kept: Kept) -> None:
    cas.put_xorb(XORB)
    shard = make_shard([whole_file(XORB)], [XORB])
    assert cas.put_shard(shard).json() == {"result": 1}
    before = kept()
    assert cas.put_shard(shard).json() == {"result": 0}
    assert cas.put_shard(make_shard([whole_file(XORB)])).json() == {"result": 0}
    assert kept() == before


def test_a_second_repository_is_linked_without_new_content(cast: Cast, cas: CasClient) -> None:
    cas.put_xorb(XORB)
    shard = make_shard([whole_file(XORB)], [XORB])
    cas.put_shard(shard)
    other = CasClient.for_repo(cast.owner, cast.private_repo())
    assert other.put_shard(shard).json() == {"result": 1}
    assert XetFile.objects.count() == Blob.objects.count() == 1
    assert RepoBlob.objects.count() == RepoXorb.objects.count() == 2


def test_a_blob_known_from_lfs_gets_its_recipe(cast: Cast, cas: CasClient) -> None:
    repo = cast.organization.namespace.repos.get()
    blob = Blob.objects.create(
        sha256=hashlib.sha256(XORB.data()).hexdigest(), size_bytes=300_000, is_plain=True
    )
    RepoBlob.objects.create(repo=repo, blob=blob)
    cas.put_xorb(XORB)
    assert cas.put_shard(make_shard([whole_file(XORB)], [XORB])).json() == {"result": 1}
    assert RepoBlob.objects.get().xet_file == XetFile.objects.get()


def test_a_file_without_a_digest_gets_the_true_one(cas: CasClient) -> None:
    cas.put_xorb(XORB)
    cas.put_shard(make_shard([dataclasses.replace(whole_file(XORB), sha256=None)], [XORB]))
    assert XetFile.objects.get().sha256 == hashlib.sha256(XORB.data()).hexdigest()


def test_a_known_digest_is_not_computed_twice(
    cas: CasClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    cas.put_xorb(XORB)
    cas.put_shard(make_shard([whole_file(XORB)], [XORB]))
    monkeypatch.setattr("hub.xet.checking.hashlib", None)
    assert cas.put_shard(make_shard([whole_file(XORB)])).status_code == 200


HONEST = whole_file(XORB)


def changed(**fields: Any) -> ShardFile:
    return dataclasses.replace(HONEST, **fields)


def with_term(**fields: Any) -> ShardFile:
    return changed(terms=TermList.of([dataclasses.replace(HONEST.terms[0], **fields)]))


def lying_list(**fields: Any) -> MadeXorb:
    index = dataclasses.replace(OTHER.index, xorb_hash=XORB.hash)
    return dataclasses.replace(OTHER, index=index, **fields)


HOSTILE_SHARDS: dict[str, bytes] = {
    "not a shard": b"hello",
    "empty": b"",
    "cut short": make_shard([HONEST], [XORB])[:-48],
    "wrong range hash": make_shard([changed(range_hashes=(bytes(32),))], [XORB]),
    "no range hashes": make_shard([changed(range_hashes=None)], [XORB]),
    "lying SHA-256": make_shard([changed(sha256="0" * 64)], [XORB]),
    "wrong file hash": make_shard([changed(file_hash=bytes(32))], [XORB]),
    "wrong length": make_shard([with_term(unpacked_bytes=299_999)], [XORB]),
    "wrong order of terms": make_shard(
        [
            changed(
                terms=TermList.of([XORB.term(1, 5), XORB.term(0, 1)]),
                range_hashes=(XORB.index.range_hash(1, 5), XORB.index.range_hash(0, 1)),
            )
        ],
        [XORB],
    ),
    "chunks beyond the xorb": make_shard([with_term(chunk_end=6)], [XORB]),
    "chunks of another xorb": make_shard([HONEST], [lying_list()]),
    "unknown xorb in a file": make_shard([whole_file(OTHER)], []),
    "unknown xorb in the list": make_shard([HONEST], [XORB, OTHER]),
    "one good file and a bad one": make_shard([HONEST, changed(sha256="0" * 64)], [XORB]),
    "endless": make_shard([changed(terms=TermList.of([Term(XORB.hash, 0, 5, 2**32 - 1)] * 200),
                                   range_hashes=(bytes(32),) * 200)]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_SHARDS)
def test_a_hostile_shard_is_refused_and_changes_nothing(
    cas: CasClient, kept: Kept, name: str
) -> None:
    cas.put_xorb(XORB)
    before = kept()
    answer = cas.put_shard(HOSTILE_SHARDS[name])
    assert answer.status_code == 400, answer.content
    assert kept() == before
    *_, last = cas.shard_events(HOSTILE_SHARDS[name])
    assert last["type"] == "error"
    assert last["message"] == answer.json()["error"]
    assert last["retryable"] is False
    assert kept() == before


def test_too_long_a_shard_is_refused(cas: CasClient, kept: Kept) -> None:
    before = kept()
    for version in (1, 2):
        assert cas.put_shard(bytes(MAX_SHARD_BYTES + 1), version).status_code == 413
    assert kept() == before


def test_events_end_with_the_result(cas: CasClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.xet.events.EVENT_INTERVAL_S", 0)
    cas.put_xorb(XORB)
    first, *middle, last = cas.shard_events(make_shard([HONEST], [XORB]))
    assert first["type"] == "validating"
    assert {"type": "validating", "verified": 300_000, "total": 300_000} in middle
    assert last == {"type": "result", "result": 1}


def test_a_missing_xorb_is_named_with_the_remedy(cas: CasClient) -> None:
    [_, last] = cas.shard_events(make_shard([whole_file(OTHER)]))
    assert format_hash(OTHER.hash) in last["message"]
    assert "HF_XET_CACHE" in last["message"]


def test_a_failure_of_ours_ends_the_stream_in_words(
    cas: CasClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    cas.put_xorb(XORB)
    before = kept()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("hub.actions.shards._index_chunks", broken)
    *_, last = cas.shard_events(make_shard([HONEST], [XORB]))
    assert last["type"] == "error"
    assert "bug" not in json.dumps(last)
    assert kept() == before


def test_damaged_stored_bytes_do_not_become_a_file(cas: CasClient, kept: Kept) -> None:
    cas.put_xorb(XORB)
    path = store().local_path(xorb_key(XORB.hash))
    assert path is not None
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 1
    path.write_bytes(damaged)
    before = kept()
    assert cas.put_shard(make_shard([HONEST], [XORB])).status_code == 400
    assert kept() == before


def test_a_xorb_deleted_during_the_check_is_noticed(cast: Cast, cas: CasClient, kept: Kept) -> None:
    cas.put_xorb(XORB)
    repo = cast.organization.namespace.repos.get()
    steps = register_shard(repo=repo, data=make_shard([HONEST], [XORB]))
    next(steps)
    Xorb.objects.all().delete()
    with pytest.raises(Exception, match="upload again"):
        list(steps)
    assert kept()["XetFile"] == kept()["RepoBlob"] == 0


def test_a_stopped_check_leaves_nothing(cast: Cast, cas: CasClient, kept: Kept) -> None:
    cas.put_xorb(XORB)
    before = kept()
    repo = cast.organization.namespace.repos.get()
    steps = register_shard(repo=repo, data=make_shard([HONEST], [XORB]))
    next(steps)
    steps.close()
    assert kept() == before


def test_many_files_take_few_queries(cas: CasClient, django_assert_max_num_queries: Any) -> None:
    xorb = make_xorb([noise(50, seed=at) for at in range(40)])
    cas.put_xorb(xorb)
    files = [make_file((xorb, at, at + 1)) for at in range(40)]
    with django_assert_max_num_queries(30):
        assert cas.put_shard(make_shard(files, [xorb])).status_code == 200
    assert RepoBlob.objects.count() == 40


# --- What else is asked ----------------------------------------------------------------------


def test_head_of_a_xorb_and_a_file(cast: Cast, cas: CasClient) -> None:
    cas.put_xorb(XORB)
    xorb_path = f"/cas/v1/xorbs/default/{format_hash(XORB.hash)}"
    file_path = f"/cas/v1/files/{format_hash(HONEST.file_hash)}"
    assert cas.http.head(xorb_path).status_code == 404
    assert cas.http.head(file_path).status_code == 404
    cas.put_shard(make_shard([HONEST], [XORB]))
    assert cas.http.head(xorb_path)["Content-Length"] == str(len(XORB.body))
    assert cas.http.head(file_path)["Content-Length"] == "300000"
    other = CasClient.for_repo(cast.stranger, cast.public_repo("other"), scope="read")
    assert other.http.head(xorb_path).status_code == 404
    assert other.http.head(file_path).status_code == 404


def test_what_is_not_offered_is_not_found(cas: CasClient) -> None:
    name = "0" * 64
    for path in (f"v1/xorb-grants/default/{name}", "v3/shards", "", "v1/xorbs/other/" + name):
        assert (
            cas.http.post(f"/cas/{path}", b"{}", content_type="application/json").status_code == 404
        )
    assert cas.http.get(f"/cas/v2/file-chunk-hashes/{name}").status_code == 404


def test_telemetry_is_taken_at_the_root(cas: CasClient) -> None:
    for path in ("/v1/telemetry", "/cas/v1/telemetry"):
        answer = cas.http.post(path, {"event": "x"}, content_type="application/json")
        assert answer.status_code == 200


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_get_an_answer_in_words(cas: CasClient, data: st.DataObject) -> None:
    """Mutations of a good shard and of a good xorb: taken or refused, never an error of ours."""
    cas.put_xorb(XORB)
    shard = bytearray(make_shard([HONEST, make_file((XORB, 1, 3))], [XORB]))
    body = bytearray(OTHER.body)
    for target in (shard, body):
        for _ in range(data.draw(st.integers(1, 3))):
            target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
    assert cas.put_shard(bytes(shard)).status_code in {200, 400}
    assert cas.put_body(format_hash(OTHER.hash), bytes(body)).status_code in {200, 400}


def test_what_readers_may_be_told_of_follows_the_recipe_that_is_kept(
    cast: Cast, cas: CasClient
) -> None:
    """A known file sent anew, cut into other xorbs: those stay unused, and nobody hears of them."""
    chunks = [noise(5000, seed) for seed in (1, 2)]
    whole, halves = make_xorb(chunks), [make_xorb([chunk]) for chunk in chunks]
    cas.put_xorb(whole)
    cas.put_shard(make_shard([whole_file(whole)], [whole]))
    repo = cast.private_repo()
    other = CasClient.for_repo(cast.owner, repo)
    for half in halves:
        other.put_xorb(half)
    file = make_file((halves[0], 0, 1), (halves[1], 0, 1))
    assert other.put_shard(make_shard([file], halves)).json() == {"result": 1}
    assert XetFile.objects.count() == 1
    for _ in range(2):
        (link,) = repo.xorb_links.all()
        assert (link.xorb.hash, unpack_ranges(link.used)) == (format_hash(whole.hash), [(0, 2)])
        relink_xorbs(repo)
