"""Xorbs and shards as a client would make them, and a client's own encoder as reference."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lz4.frame
import numpy as np

from hub.xet.hashing import chunk_hash, file_hash, merkle_root
from hub.xet.index import XorbIndex
from hub.xet.shard import ShardFile, ShardXorb, build_shard, dedup_xorb
from hub.xet.terms import Term, TermList
from hub.xet.xorb import verify_xorb


def lcg_bytes(size: int, seed: int = 1) -> bytes:
    """The reproducible noise of the test vectors: the top byte of a 64-bit LCG, each step."""
    x, out = seed, bytearray()
    for _ in range(size):
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out.append(x >> 56)
    return bytes(out)


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def floats(size: int, seed: int = 0) -> bytes:
    """Like the weights of a model: normal float32 values."""
    values = np.random.default_rng(seed).standard_normal(size // 4 + 1) * 0.02
    return values.astype(np.float32).tobytes()[:size]


def split(data: bytes, size: int = 65536) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def group_bytes(data: bytes) -> bytes:
    return b"".join(data[lane::4] for lane in range(4))


def record(data: bytes, scheme: int = 0, *, payload: bytes | None = None) -> bytes:
    """One chunk record; `payload` overrides what is stored."""
    if payload is None:
        payload = data if scheme == 0 else lz4.frame.compress(_arranged(data, scheme))
    return struct.pack("<II", len(payload) << 8, scheme | len(data) << 8) + payload


def _arranged(data: bytes, scheme: int) -> bytes:
    return group_bytes(data) if scheme == 2 else data


def xorb_hash_of(chunks: Sequence[bytes]) -> bytes:
    return merkle_root(b"".join(map(chunk_hash, chunks)), [len(chunk) for chunk in chunks])


@dataclass(frozen=True)
class MadeXorb:
    """A valid xorb with its content."""

    chunks: list[bytes]
    body: bytes
    index: XorbIndex

    @property
    def hash(self) -> bytes:
        return self.index.xorb_hash

    def term(self, start: int = 0, end: int | None = None) -> Term:
        end = len(self.chunks) if end is None else end
        return Term(self.hash, start, end, sum(map(len, self.chunks[start:end])))

    def data(self, start: int = 0, end: int | None = None) -> bytes:
        return b"".join(self.chunks[start:end])

    def shard_xorb(self) -> ShardXorb:
        return dedup_xorb(self.index)


def make_xorb(chunks: Sequence[bytes], scheme: int = 0) -> MadeXorb:
    body = b"".join(record(chunk, scheme) for chunk in chunks)
    return MadeXorb(list(chunks), body, verify_xorb(body))


def make_file(*parts: tuple[MadeXorb, int, int]) -> ShardFile:
    """The honest recipe of a file made of chunk ranges of xorbs."""
    hashes = b"".join(xorb.index.hashes(start, end) for xorb, start, end in parts)
    lengths = [n for xorb, start, end in parts for n in xorb.index.lengths(start, end)]
    content = b"".join(xorb.data(start, end) for xorb, start, end in parts)
    return ShardFile(
        file_hash(merkle_root(hashes, lengths)),
        TermList.of([xorb.term(start, end) for xorb, start, end in parts]),
        tuple(xorb.index.range_hash(start, end) for xorb, start, end in parts),
        hashlib.sha256(content).hexdigest(),
    )


def whole_file(xorb: MadeXorb) -> ShardFile:
    return make_file((xorb, 0, len(xorb.chunks)))


def make_shard(files: Sequence[ShardFile], xorbs: Sequence[MadeXorb] = ()) -> bytes:
    return build_shard(files, [xorb.shard_xorb() for xorb in xorbs])


@dataclass(frozen=True)
class ClientUpload:
    """What the client's encoder made of one file: its hash, xorb files with footers, shards."""

    file_hash: str
    xorbs: dict[str, bytes]
    shards: list[bytes]


def upload_with_client(data: bytes, folder: Path) -> ClientUpload:
    """Let hf_xet chunk, compress and describe `data` into a folder of its own."""
    source = folder / "source.bin"
    source.write_bytes(data)
    file_hash = chunk_with_client(source, folder / "cas")
    store = folder / "cas" / "xet" / "xorbs"
    return ClientUpload(
        file_hash,
        {
            path.name.removeprefix("default."): path.read_bytes()
            for path in client_xorbs(folder / "cas")
        },
        [path.read_bytes() for path in (store / "shards").glob("*.mdb")],
    )


def chunk_with_client(source: Path, folder: Path) -> str:
    """Let hf_xet chunk and compress a file into `folder`, which may know earlier ones; its hash."""
    import hf_xet

    session = hf_xet.XetSession()
    with session.new_upload_commit(endpoint=f"local://{folder}") as commit:
        upload = commit.start_upload_file(str(source))
    return str(upload.result().xet_info.hash)


def client_xorbs(folder: Path) -> list[Path]:
    """The xorbs that `chunk_with_client` left in `folder`."""
    store = folder / "xet" / "xorbs" / "xorbs"
    return [path for path in store.iterdir() if path.name.count(".") == 1]
