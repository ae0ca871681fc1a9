"""Reconstruction, signed reads, deduplication queries, and plain reading of Xet files."""

from __future__ import annotations

import email
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.actions.copies import link_contents
from hub.actions.large_files import delete_large_files
from hub.actions.repos import delete_repo
from hub.errors import NotFound
from hub.models import AccessToken, Repo, TokenScope, XetFile, Xorb
from hub.site import store
from hub.xet.chunk_ranges import unpack_ranges
from hub.xet.content import _cached_index, stream_xet_file, xorb_key
from hub.xet.errors import FormatError
from hub.xet.hashing import format_hash, keyed_hash
from hub.xet.shard import Shard, ShardFile, ShardXorb, parse_shard
from hub.xet.xorb import decode_range
from tests.support.cas import CasClient
from tests.support.cast import Cast
from tests.support.factories import make_repo
from tests.support.xet import MadeXorb, floats, make_file, make_shard, make_xorb, noise, split

XORBS = [
    make_xorb(split(floats(400_000), 60_000), scheme=2),
    make_xorb([noise(3000), noise(70_000, seed=1), b"tail"]),
    make_xorb(split(b"some words " * 9000, 30_000), scheme=1),
]
PARTS = [(XORBS[0], 1, 6), (XORBS[1], 0, 3), (XORBS[2], 1, 2), (XORBS[0], 0, 2), (XORBS[1], 2, 3)]
CONTENT = b"".join(xorb.data(start, end) for xorb, start, end in PARTS)
FILE = make_file(*PARTS)


@dataclass
class Stored:
    repo: Repo
    writer: CasClient
    reader: CasClient
    file: XetFile


def upload(cas: CasClient, file: ShardFile = FILE, xorbs: list[MadeXorb] = XORBS) -> None:
    for xorb in xorbs:
        assert cas.put_xorb(xorb).status_code == 200
    assert cas.put_shard(make_shard([file], xorbs)).status_code == 200


@pytest.fixture
def stored(cast: Cast) -> Stored:
    repo = cast.private_repo()
    writer = CasClient.for_repo(cast.owner, repo)
    upload(writer)
    reader = CasClient.for_repo(cast.reader, repo, scope="read")
    return Stored(repo, writer, reader, XetFile.objects.get())


def fetch(url: str, header: str | None) -> Any:
    """As clients do: no token."""
    parts = urlsplit(url)
    headers = {"range": header} if header else {}
    return Client().get(f"{parts.path}?{parts.query}", headers=headers)


def status_of(url: str, header: str | None) -> int:
    answer = fetch(url, header)
    answer.getvalue()  # read to the end, which closes the file
    return int(answer.status_code)


def listed_ranges(plan: dict[str, Any], name: str) -> list[tuple[str, dict[str, int], Any]]:
    """(url, chunks, bytes) of either version of an answer."""
    if "fetch_info" in plan:
        return [(one["url"], one["range"], one["url_range"]) for one in plan["fetch_info"][name]]
    return [
        (entry["url"], one["chunks"], one["bytes"])
        for entry in plan["xorbs"][name]
        for one in entry["ranges"]
    ]


def rebuild(plan: dict[str, Any]) -> bytes:
    by_name = {format_hash(xorb.hash): xorb for xorb in XORBS}
    out = b""
    for term in plan["terms"]:
        xorb, wanted = by_name[term["hash"]], term["range"]
        [(url, chunks, where)] = [
            one
            for one in listed_ranges(plan, term["hash"])
            if one[1]["start"] <= wanted["start"] and wanted["end"] <= one[1]["end"]
        ]
        answer = fetch(url, f"bytes={where['start']}-{where['end']}")
        assert answer.status_code == 206
        body = answer.getvalue()
        assert len(body) == int(answer["Content-Length"]) == where["end"] - where["start"] + 1
        data = decode_range(body, xorb.index, chunks["start"], chunks["end"])
        base = xorb.index.unpacked_range(chunks["start"], chunks["end"])[0]
        first, last = xorb.index.unpacked_range(wanted["start"], wanted["end"])
        assert term["unpacked_length"] == last - first
        out += data[first - base : last - base]
    return out[plan["offset_into_first_range"] :]


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_is_rebuilt_from_the_answer(stored: Stored, version: int) -> None:
    for client in (stored.reader, stored.writer):
        answer = client.reconstruction(FILE.file_hash, version=version)
        assert answer.status_code == 200
        assert rebuild(answer.json()) == CONTENT


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("start", "last"), [(0, 0), (59_999, 60_001), (5, 372_000), (372_000, 999_999_999)]
)
def test_a_range_is_rebuilt_from_the_answer(
    stored: Stored, version: int, start: int, last: int
) -> None:
    plan = stored.reader.reconstruction(FILE.file_hash, f"bytes={start}-{last}", version).json()
    assert rebuild(plan)[: last + 1 - start] == CONTENT[start : last + 1]


def test_a_range_behind_the_end_is_416(stored: Stored) -> None:
    for version in (1, 2):
        answer = stored.reader.reconstruction(FILE.file_hash, f"bytes={len(CONTENT)}-", version)
        assert answer.status_code == 416


def test_knowing_a_hash_is_no_right_to_the_file(cast: Cast, stored: Stored) -> None:
    outside = CasClient.for_repo(cast.stranger, cast.public_repo(), scope="read")
    for version in (1, 2):
        assert outside.reconstruction(FILE.file_hash, version=version).status_code == 404
    assert stored.reader.reconstruction(bytes(32)).status_code == 404


def test_a_stranger_cannot_claim_a_private_file_by_its_hashes(cast: Cast, stored: Stored) -> None:
    """Only who knows the chunk hashes may refer to chunks: a recipe alone proves nothing."""
    outside = CasClient.for_repo(cast.stranger, cast.public_repo(), scope="read")
    mine = CasClient.for_repo(cast.owner, cast.public_repo("mine"))
    guessed = ShardFile(FILE.file_hash, FILE.terms, (bytes(32),) * len(FILE.terms), FILE.sha256)
    assert mine.put_shard(make_shard([guessed])).status_code == 400
    assert outside.put_shard(make_shard([guessed])).status_code == 403


# --- Data URLs -------------------------------------------------------------------------------


@pytest.fixture
def entry(stored: Stored) -> dict[str, Any]:
    """The URL of the first xorb in a v2 answer: two ranges, with a gap between them."""
    plan = stored.reader.reconstruction(FILE.file_hash).json()
    [entry] = plan["xorbs"][format_hash(XORBS[1].hash)]
    return entry


def test_a_data_url_needs_a_range(entry: dict[str, Any]) -> None:
    assert status_of(entry["url"], None) == 400
    assert status_of(entry["url"], "bytes=x") == 400


def test_a_data_url_gives_no_other_range(stored: Stored) -> None:
    plan = stored.reader.reconstruction(FILE.file_hash, "bytes=0-10").json()
    [entry] = plan["xorbs"][format_hash(XORBS[0].hash)]
    [listed] = entry["ranges"]
    start, end = listed["bytes"]["start"], listed["bytes"]["end"]
    assert start > 0
    assert status_of(entry["url"], f"bytes={start}-{end}") == 206
    assert status_of(entry["url"], f"bytes={start + 1}-{end - 1}") == 206
    for header in (f"bytes={start - 1}-{end}", f"bytes={start}-{end + 1}", "bytes=0-", "bytes=-5"):
        assert status_of(entry["url"], header) == 403
    total = len(XORBS[0].body)
    assert status_of(entry["url"], f"bytes={total}-") == 416


def test_several_ranges_come_as_multipart(stored: Stored) -> None:
    file = make_file((XORBS[0], 0, 1), (XORBS[0], 3, 4))
    stored.writer.put_shard(make_shard([file]))
    plan = stored.reader.reconstruction(file.file_hash).json()
    [entry] = plan["xorbs"][format_hash(XORBS[0].hash)]
    spans = [(one["bytes"]["start"], one["bytes"]["end"]) for one in entry["ranges"]]
    assert len(spans) == 2
    answer = fetch(entry["url"], "bytes=" + ",".join(f"{a}-{b}" for a, b in spans))
    assert answer.status_code == 206
    raw = answer.getvalue()
    assert len(raw) == int(answer["Content-Length"])
    head = f"Content-Type: {answer['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + raw).get_payload()
    body = XORBS[0].body
    for part, (first, last) in zip(parts, spans, strict=True):
        assert part["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
    for first, last in spans:
        assert b"\r\n\r\n" + body[first : last + 1] + b"\r\n--" in raw


def test_a_data_url_ends_with_its_repository(
    cast: Cast, stored: Stored, entry: dict[str, Any]
) -> None:
    delete_repo(repo=stored.repo, acting_user=cast.owner)
    assert status_of(entry["url"], "bytes=0-5") == 403


def test_a_forged_data_url_is_refused(entry: dict[str, Any]) -> None:
    for old, new in (
        ("ranges=", "ranges=0-1,"),
        ("signature=", "signature=x"),
        ("repo=", "repo=9"),
    ):
        assert status_of(entry["url"].replace(old, new), "bytes=0-1") == 403
    assert status_of(entry["url"].partition("?")[0], "bytes=0-1") == 403


def test_a_front_server_sends_what_was_signed_as_a_whole(cast: Cast, settings: Any) -> None:
    """It reads the Range header in its own way: a URL for a part of a xorb does not go there."""
    settings.ACCEL_REDIRECT_PREFIX = "/_store"
    writer = CasClient.for_repo(cast.owner, cast.private_repo())
    for file, is_whole in ((make_file((XORBS[1], 0, 3)), True), (FILE, False)):
        upload(writer, file)
        [entry] = [
            one
            for name, entries in writer.reconstruction(file.file_hash).json()["xorbs"].items()
            if name == format_hash(XORBS[1 if is_whole else 0].hash)
            for one in entries
        ]
        start = entry["ranges"][0]["bytes"]["start"]
        answer = fetch(entry["url"], f"bytes={start}-{start + 5}")
        assert ("X-Accel-Redirect" in answer) is is_whole
        if is_whole:
            assert answer["X-Accel-Redirect"] == f"/_store/{xorb_key(XORBS[1].hash)}"
        else:
            assert answer.status_code == 206
            assert len(answer.getvalue()) == 6
        assert status_of(entry["url"].replace("signature=", "signature=x"), "bytes=0-5") == 403


# --- Deduplication ---------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["default", "default-merkledb"])
def test_the_first_chunk_of_a_file_finds_its_xorbs(stored: Stored, prefix: str) -> None:
    first = FILE.terms[0]
    chunk = XORBS[0].index.hash_at(first.chunk_start)
    answer = stored.reader.query_chunk(chunk, prefix)
    assert answer.status_code == 200
    shard = parse_shard(answer.getvalue())
    assert shard.footer is not None
    assert shard.footer.key_expires_at - shard.footer.created_at == 7 * 24 * 3600
    by_hash = {xorb.xorb_hash: xorb for xorb in shard.xorbs}
    assert set(by_hash) == {xorb.hash for xorb in XORBS}
    for made, used in zip(XORBS, ({*range(6)}, {*range(3)}, {1}), strict=True):
        told = by_hash[made.hash]
        assert named(told, made, shard) == used
        lengths = made.index.lengths(0, max(used) + 1)
        assert told.lengths.tolist() == [n if at in used else 1 for at, n in enumerate(lengths)]


def named(told: ShardXorb, made: MadeXorb, shard: Shard) -> set[int]:
    """The chunks of a xorb, by their place, that an answer names there."""
    assert shard.footer is not None
    parts = split(told.chunk_hashes, 32)
    hidden = [keyed_hash(shard.footer.hmac_key, raw) for raw in split(made.index.chunk_hashes, 32)]
    assert not {*parts} & {*split(made.index.chunk_hashes, 32)}
    found = {at for at, raw in enumerate(parts) if raw == hidden[at]}
    assert {*parts} & {*hidden} == {hidden[at] for at in found}
    return found


def test_other_chunks_are_not_indexed(stored: Stored) -> None:
    assert stored.reader.query_chunk(XORBS[0].index.hash_at(3)).status_code == 404
    assert stored.reader.query_chunk(bytes(32)).status_code == 404


def test_chunks_of_private_repositories_are_not_admitted_to(cast: Cast, stored: Stored) -> None:
    chunk = XORBS[0].index.hash_at(1)
    public = cast.public_repo()
    for role, status in (("owner", 200), ("reader", 200), ("stranger", 404), ("admin", 200)):
        client = CasClient.for_repo(cast.user(role), public, scope="read")
        assert client.query_chunk(chunk).status_code == status, role
    anonymous = CasClient.for_repo(None, public, scope="read")
    assert anonymous.query_chunk(chunk).status_code == 404


def test_a_fine_grained_token_sees_no_other_private_repository(cast: Cast, stored: Stored) -> None:
    public = cast.public_repo()
    client = CasClient.for_repo(cast.owner, public, scope="read")
    AccessToken.objects.filter(user=cast.owner).update(scope=TokenScope.FINE_GRAINED)
    assert client.query_chunk(XORBS[0].index.hash_at(1)).status_code == 404


def test_a_revoked_token_cannot_tell_a_chunk_that_is_here_from_one_that_is_not(
    cast: Cast, stored: Stored
) -> None:
    known = XORBS[0].index.hash_at(1)
    client = CasClient.for_repo(cast.owner, cast.public_repo())
    assert client.query_chunk(known).status_code == 200
    AccessToken.objects.filter(user=cast.owner).delete()
    answers = [client.query_chunk(chunk) for chunk in (known, bytes(32))]
    assert [(answer.status_code, answer.content) for answer in answers] == 2 * [
        (404, answers[0].content)
    ]


def test_a_chunk_that_nobody_has_is_answered_by_one_query(
    cast: Cast, stored: Stored, django_assert_num_queries: Any
) -> None:
    client = CasClient.for_repo(cast.owner, cast.public_repo())
    with django_assert_num_queries(1):
        assert client.query_chunk(bytes(32)).status_code == 404


def test_one_known_chunk_does_not_reveal_the_xorb(cast: Cast, stored: Stored) -> None:
    """A stranger who happens to have one chunk may use it, and learns nothing of its neighbours."""
    repo = make_repo(cast.stranger)
    mine = CasClient.for_repo(cast.stranger, repo)
    one = make_file((XORBS[0], 1, 2))
    assert mine.put_shard(make_shard([one])).json() == {"result": 1}
    assert rebuild(mine.reconstruction(one.file_hash).json()) == XORBS[0].data(1, 2)
    answer = parse_shard(mine.query_chunk(XORBS[0].index.hash_at(1)).getvalue())
    [told] = answer.xorbs
    assert named(told, XORBS[0], answer) == {1}
    assert told.lengths.tolist() == [1, len(XORBS[0].chunks[1])]


def test_a_public_file_tells_nothing_of_a_private_one_that_shares_its_xorb(
    cast: Cast, stored: Stored
) -> None:
    """Also where its uploader may read both, and lists the whole xorb."""
    public = cast.public_repo()
    writer = CasClient.for_repo(cast.owner, public)
    one = make_file((XORBS[0], 2, 4))
    upload(writer, one, XORBS[:1])
    stranger = CasClient.for_repo(cast.stranger, public, scope="read")
    answer = parse_shard(stranger.query_chunk(XORBS[0].index.hash_at(2)).getvalue())
    [told] = answer.xorbs
    assert named(told, XORBS[0], answer) == {2, 3}
    for private in (0, 1, 5, 6):
        assert stranger.query_chunk(XORBS[0].index.hash_at(private)).status_code == 404
    reader = CasClient.for_repo(cast.reader, public, scope="read")
    answer = parse_shard(reader.query_chunk(XORBS[0].index.hash_at(1)).getvalue())
    by_hash = {xorb.xorb_hash: xorb for xorb in answer.xorbs}
    assert named(by_hash[XORBS[0].hash], XORBS[0], answer) == {*range(6)}


def test_what_a_deleted_file_used_is_named_no_more(cast: Cast) -> None:
    repo = make_repo(cast.owner)
    client = CasClient.for_repo(cast.owner, repo)
    kept, gone = make_file((XORBS[0], 0, 2)), make_file((XORBS[0], 1, 5), (XORBS[1], 0, 1))
    upload(client, kept, XORBS[:1])
    upload(client, gone, XORBS[:2])
    delete_large_files(repo=repo, oids=[gone.sha256], rewrite_history=False, acting_user=cast.owner)
    assert client.query_chunk(XORBS[0].index.hash_at(2)).status_code == 404
    answer = parse_shard(client.query_chunk(XORBS[0].index.hash_at(0)).getvalue())
    [told] = answer.xorbs
    assert named(told, XORBS[0], answer) == {0, 1}


def test_a_copied_file_brings_no_more_than_its_chunks(cast: Cast, stored: Stored) -> None:
    part = make_file((XORBS[0], 4, 6))
    upload(stored.writer, part)
    target = make_repo(cast.owner, is_private=True)
    link_contents(source=stored.repo, target=target, oids=[part.sha256])
    [link] = target.xorb_links.all()
    assert unpack_ranges(link.used) == [(4, 6)]


@pytest.mark.parametrize("first_is_asked_for", [True, False])
def test_a_file_that_starts_as_another_does_is_found_whole(
    cast: Cast, first_is_asked_for: bool
) -> None:
    """Two repositories share the first xorb; each is told of what came to itself."""
    shared, rests = XORBS[0], XORBS[1:]
    clients = []
    for rest in rests:
        client = CasClient.for_repo(cast.owner, make_repo(cast.owner))
        upload(client, make_file((shared, 0, 7), (rest, 0, 3)), [shared, rest])
        clients.append(client)
    asking = clients[0 if first_is_asked_for else 1]
    answer = parse_shard(asking.query_chunk(shared.index.hash_at(0)).getvalue())
    assert {xorb.xorb_hash for xorb in answer.xorbs} == {xorb.hash for xorb in XORBS}
    own = rests[0 if first_is_asked_for else 1]
    assert [xorb.xorb_hash for xorb in answer.xorbs][:2] == [shared.hash, own.hash]


def test_the_latest_of_many_uploads_is_found(cast: Cast) -> None:
    """More repositories hold the first xorb than one answer tells of."""
    shared = XORBS[0]
    for seed in range(6):
        rest = make_xorb([noise(9000, seed=100 + seed)])
        client = CasClient.for_repo(cast.owner, make_repo(cast.owner))
        upload(client, make_file((shared, 0, 7), (rest, 0, 1)), [shared, rest])
    answer = parse_shard(
        CasClient.for_repo(cast.owner, make_repo(cast.owner))
        .query_chunk(shared.index.hash_at(0)).getvalue()
    )  # fmt: skip
    told = [xorb.xorb_hash for xorb in answer.xorbs]
    assert told[:2] == [shared.hash, rest.hash]
    assert len(told) == 4


# --- Plain reading ---------------------------------------------------------------------------


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_range_is_read_as_plain_bytes(stored: Stored, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(CONTENT)))
    end = data.draw(st.integers(start, len(CONTENT) + 10) | st.none())
    assert b"".join(stream_xet_file(stored.file, start, end)) == CONTENT[start:end]


def test_a_long_file_is_read_in_bounded_pieces(cast: Cast) -> None:
    repo = cast.public_repo()
    content = floats(9_000_000)
    xorb = make_xorb(split(content, 100_000), scheme=2)
    upload(CasClient.for_repo(cast.owner, repo), make_file((xorb, 0, 90)), [xorb])
    pieces = list(stream_xet_file(XetFile.objects.get(), 123_456))
    assert b"".join(pieces) == content[123_456:]
    assert max(map(len, pieces)) < 2_200_000
    assert {type(piece) for piece in pieces} == {bytes}  # Django would write out any other type


def damage(change: Callable[[bytearray], object]) -> None:
    for xorb in XORBS:
        path = store().local_path(xorb_key(xorb.hash))
        assert path is not None
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)
    _cached_index.cache_clear()


def test_damaged_bytes_are_never_handed_out(stored: Stored) -> None:
    damage(lambda content: content.__setitem__(200, content[200] ^ 1))
    with pytest.raises(FormatError):
        b"".join(stream_xet_file(stored.file))


@pytest.mark.parametrize("cut", [5, 100, 3000])
def test_a_xorb_cut_short_is_noticed(stored: Stored, cut: int) -> None:
    damage(lambda content: content.__delitem__(slice(-cut, None)))
    with pytest.raises(FormatError):
        b"".join(stream_xet_file(stored.file))


def test_a_missing_xorb_is_noticed_before_the_first_byte(stored: Stored) -> None:
    Xorb.objects.filter(hash=format_hash(XORBS[2].hash)).delete()
    with pytest.raises(NotFound):
        stream_xet_file(stored.file)
    assert b"".join(stream_xet_file(stored.file, 0, 1000)) == CONTENT[:1000]


def test_an_abandoned_read_can_be_closed(stored: Stored) -> None:
    stream = stream_xet_file(stored.file)
    next(stream)
    stream.close()


def test_a_store_in_a_bucket_serves_the_same(cast: Cast, settings: Any) -> None:
    settings.STORAGE_URL = "memory:///"
    repo = cast.public_repo()
    writer = CasClient.for_repo(cast.owner, repo)
    upload(writer)
    upload(writer)  # once more, over what is there
    plan = writer.reconstruction(FILE.file_hash).json()
    assert rebuild(plan) == CONTENT
    assert b"".join(stream_xet_file(XetFile.objects.get(), 1000, 300_000)) == CONTENT[1000:300_000]
    [entry] = plan["xorbs"][format_hash(XORBS[1].hash)]
    answer = fetch(entry["url"], "bytes=0-9,20-29")
    assert answer.getvalue().count(b"Content-Range") == 2
