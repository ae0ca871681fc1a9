"""What a push asks for, and how it is answered. Pure.

Source: gitprotocol-pack(5), "Reference Update Request and Packfile Transfer", "Report Status";
gitprotocol-capabilities(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hub.githttp.pktline import (
    DATA_BAND,
    FLUSH,
    TEXT_BAND,
    ProtocolError,
    Readable,
    encode,
    on_band,
    read_packet,
)
from hub.vcs.refs import RefMove

CAPABILITIES = (
    b"report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 "
    b"agent=modelguild"
)
MAX_COMMANDS = 10_000
"""Nobody pushes more; how many are taken is a setting."""

MAX_HEAD_BYTES = 1024**2
"""All lines before the pack, together."""

_ZERO = "0" * 40
_COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\0\n]+)")
_SHALLOW = re.compile(rb"shallow [0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class PushRequest:
    moves: tuple[RefMove, ...]
    capabilities: frozenset[str]


def read_push(stream: Readable) -> PushRequest:
    """The commands at the beginning of a push; the pack, if there is one, stays in the stream.

    A name that is not UTF-8 keeps its bytes as surrogates. What a shallow clone says of its
    border is read over: all that is pushed must be whole here. Capabilities are those of the
    first command.

    Raises:
        ProtocolError: this is no push, or it uses what was not offered.
    """
    moves: list[RefMove] = []
    capabilities: frozenset[str] = frozenset()
    for packet in _head(stream):
        line, _, offered = packet.partition(b"\0")
        line = line.removesuffix(b"\n")
        if _SHALLOW.fullmatch(line):
            continue
        if not moves:
            capabilities = frozenset(offered.decode("utf-8", "replace").split())
        moves.append(_move(line))
        if len(moves) > MAX_COMMANDS:
            raise ProtocolError("These are too many refs at once.")
    formats = {item for item in capabilities if item.startswith("object-format=")}
    if formats - {"object-format=sha1"}:
        raise ProtocolError("Only repositories with SHA-1 ids are supported.")
    return PushRequest(tuple(moves), capabilities)


def advertise(refs: Mapping[str, str]) -> Iterator[bytes]:
    """The answer to the question, before a push, which refs there are."""
    yield encode(b"# service=git-receive-pack\n") + FLUSH
    rows = list(refs.items()) or [("capabilities^{}", _ZERO)]
    for index, (name, target) in enumerate(rows):
        offered = b"\0" + CAPABILITIES if index == 0 else b""
        yield encode(target.encode() + b" " + _bytes(name) + offered + b"\n")
    yield FLUSH


def report(
    request: PushRequest, *, unpack: str = "ok", refused: Mapping[str, str], text: str = ""
) -> bytes:
    """The answer to a push: what became of the pack and of each ref, and words for the terminal.

    Args:
        unpack: "ok", or why the pack was not taken.
        refused: the reason for each ref that was not moved.
    """
    lines = [encode(b"unpack " + _one_line(unpack) + b"\n")]
    for name in dict.fromkeys(move.full_name for move in request.moves):
        reason = refused.get(name)
        word, tail = (b"ok ", b"") if reason is None else (b"ng ", b" " + _one_line(reason))
        lines.append(encode(word + _bytes(name) + tail + b"\n"))
    body = b"".join(lines) + FLUSH if "report-status" in request.capabilities else b""
    if "side-band-64k" not in request.capabilities:
        return body
    shown = text.rstrip("\n").encode("utf-8", "replace") + b"\n" if text else b""
    return b"".join([*on_band(TEXT_BAND, shown), *on_band(DATA_BAND, body), FLUSH])


def _head(stream: Readable) -> Iterator[bytes]:
    """The packets up to the flush: a few compressed bytes must not become gigabytes here."""
    size_bytes = 0
    while (packet := read_packet(stream)) is not None:
        size_bytes += len(encode(packet))
        if size_bytes > MAX_HEAD_BYTES:
            raise ProtocolError("These are too many refs at once.")
        yield packet


def _move(line: bytes) -> RefMove:
    match = _COMMAND.fullmatch(line)
    if match is None:
        raise ProtocolError("A line of the push is not readable.")
    old, new = (None if sha == _ZERO else sha for sha in (match[1].decode(), match[2].decode()))
    if old is None and new is None:
        raise ProtocolError("A line of the push asks for nothing.")
    return RefMove(match[3].decode("utf-8", "surrogateescape"), old, new)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _one_line(text: str) -> bytes:
    return " ".join(text.split())[:400].encode("utf-8", "replace")
