"""Packets and the commands of a push, as git sends them and as nobody should."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.githttp.commands import (
    MAX_COMMANDS,
    MAX_HEAD_BYTES,
    PushRequest,
    advertise,
    read_push,
    report,
)
from hub.githttp.pktline import FLUSH, ProtocolError, encode, on_band, read_packet
from hub.vcs.refs import RefMove

ZERO, ONE, TWO = "0" * 40, "1" * 40, "2" * 40


class Trickle(io.BytesIO):
    """A stream that gives a byte at a time, as a slow line does."""

    def read(self, size=-1, /):
        return super().read(min(size, 1))


def command(old, new, ref=b"refs/heads/main", offered=b"\0 report-status side-band-64k"):
    return encode(f"{old} {new} ".encode() + ref + offered)


def packets(data):
    stream, found = io.BytesIO(data), []
    while stream.tell() < len(data):
        found.append(read_packet(stream))
    return found


@given(st.lists(st.binary(max_size=300)))
def test_what_was_encoded_is_read_again(lines):
    stream = Trickle(b"".join(encode(line) for line in lines) + FLUSH)
    assert [read_packet(stream) for _ in lines] == lines
    assert read_packet(stream) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_a_push_or_refused(data):
    try:
        push = read_push(io.BytesIO(data))
    except ProtocolError:
        return
    assert isinstance(push, PushRequest)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_line_in_a_packet_is_a_command_or_refused(line, offered):
    try:
        push = read_push(io.BytesIO(encode(line + b"\0" + offered) + FLUSH))
    except ProtocolError:
        return
    assert all(move.full_name for move in push.moves)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"00", b"000", b"0001", b"0002", b"0003", b"zzzz", b"-001", b"+00a", b" 00a", b"0x0a",
        b"fff1", b"ffff", b"0005", b"0010abc", "０００４".encode(),
    ],
)  # fmt: skip
def test_broken_packets_are_refused(data):
    with pytest.raises(ProtocolError):
        read_packet(io.BytesIO(data))


def test_a_push_is_read_up_to_its_pack():
    stream = io.BytesIO(
        encode(f"shallow {TWO}".encode())
        + command(ZERO, ONE)
        + command(ONE, ZERO, b"refs/tags/v1\n", b"")
        + FLUSH
        + b"PACK..."
    )
    push = read_push(stream)
    assert push.moves == (
        RefMove("refs/heads/main", None, ONE),
        RefMove("refs/tags/v1", ONE, None),
    )
    assert push.capabilities == {"report-status", "side-band-64k"}
    assert stream.read() == b"PACK..."


@pytest.mark.parametrize(
    "lines",
    [
        [command(ZERO, ZERO)],
        [command("x" * 40, ONE)],
        [command(ZERO, ONE[:-1])],
        [command(ONE.upper().replace("1", "A"), ONE)],
        [command(ZERO, ONE, b"")],
        [command(ZERO, ONE, b"refs/heads/a\nb")],
        [command(ZERO, ONE, offered=b"\0 object-format=sha256")],
        [encode(b"push-cert\0 report-status"), encode(b"certificate version 0.1")],
        [command(ZERO, ONE, f"refs/heads/{i}".encode(), b"") for i in range(MAX_COMMANDS + 1)],
    ],
    ids=["nothing", "no hex", "short", "case", "no name", "two lines", "sha256", "cert", "many"],
)
def test_broken_commands_are_refused(lines):
    with pytest.raises(ProtocolError):
        read_push(io.BytesIO(b"".join(lines) + FLUSH))


@pytest.mark.parametrize(
    "line",
    [command(ZERO, ONE, b"refs/heads/" + b"x" * 65_000), encode(f"shallow {ONE}".encode())],
    ids=["long names", "shallow borders"],
)
def test_lines_without_end_are_not_taken_in(line):
    stream = io.BytesIO(line * (4 * MAX_HEAD_BYTES // len(line)))
    with pytest.raises(ProtocolError, match="too many"):
        read_push(stream)
    assert stream.tell() <= MAX_HEAD_BYTES + len(line)


def test_only_the_first_command_says_what_the_client_can_do():
    lines = [command(ZERO, ONE), command(ZERO, ONE, b"refs/heads/b", b"\0 atomic quiet")]
    push = read_push(io.BytesIO(b"".join(lines) + FLUSH))
    assert push.capabilities == {"report-status", "side-band-64k"}


def test_a_push_that_is_cut_off_is_refused():
    whole = command(ZERO, ONE) + FLUSH
    for length in range(len(whole)):
        with pytest.raises(ProtocolError):
            read_push(io.BytesIO(whole[:length]))


def test_refs_are_advertised_with_what_we_can_do():
    first, flush, main, tag, end = packets(
        b"".join(advertise({"refs/heads/main": ONE, "refs/tags/v": TWO}))
    )
    assert (first, flush, end) == (b"# service=git-receive-pack\n", None, None)
    assert main.startswith(f"{ONE} refs/heads/main\0report-status delete-refs ".encode())
    assert tag == f"{TWO} refs/tags/v\n".encode()


def test_an_empty_repository_still_says_what_we_can_do():
    assert packets(b"".join(advertise({})))[2].startswith(f"{ZERO} capabilities^{{}}\0".encode())


def test_the_report_names_each_ref_once():
    push = PushRequest(
        (RefMove("refs/heads/a", None, ONE), RefMove("refs/heads/b\udcff", ONE, None)),
        frozenset({"report-status", "side-band-64k"}),
    )
    answer = report(push, refused={"refs/heads/b\udcff": "two\nlines"}, text="why\nnot")
    text, body, end = packets(answer)
    assert (text, end) == (b"\x02why\nnot\n", None)
    assert packets(body[1:]) == [
        b"unpack ok\n", b"ok refs/heads/a\n", b"ng refs/heads/b\xff two lines\n", None,
    ]  # fmt: skip


def test_a_client_without_side_bands_gets_the_bare_report():
    push = PushRequest((RefMove("refs/heads/a", None, ONE),), frozenset({"report-status"}))
    answer = report(push, unpack="no room", refused={"refs/heads/a": "no"}, text="not shown")
    assert packets(answer) == [b"unpack no room\n", b"ng refs/heads/a no\n", None]


@given(st.binary(min_size=1, max_size=200_000))
def test_long_text_is_split_over_packets(data):
    assert b"".join(part[1:] for part in packets(b"".join(on_band(2, data)))) == data
