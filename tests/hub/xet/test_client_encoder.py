"""Our readers against what the client's own encoder writes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hub.xet.hashing import file_hash, format_hash, merkle_root, parse_hash
from hub.xet.shard import parse_shard
from hub.xet.xorb import XorbVerifier, decode_range
from tests.support.xet import floats, lcg_bytes, upload_with_client

hf_xet = pytest.importorskip("hf_xet", reason="install hf-xet to compare with its encoder")

SOURCES = {
    "one chunk": b"hello xet",
    "noise": lcg_bytes(1 << 20),
    "text": "".join(f"line {at}: the same words again and again\n" for at in range(40000)).encode(),
    "float32": floats(3_000_001),
    "zeros": bytes(1 << 20),
    "mixed": floats(700_000) + lcg_bytes(300_000) + b"abc" * 200_000,
}


@pytest.mark.parametrize("name", SOURCES)
def test_xorbs_shards_and_hashes_of_the_client_are_understood(name: str, tmp_path: Path) -> None:
    data = SOURCES[name]
    made = upload_with_client(data, tmp_path)
    assert made.file_hash == hf_xet.hash_files([str(tmp_path / "source.bin")])[0].hash
    [(text, stored)] = made.xorbs.items()

    verifier = XorbVerifier()
    verifier.feed(stored)  # with a footer, which is checked
    index = verifier.finish(parse_hash(text))
    assert verifier.body_bytes == index.size_bytes < len(stored)

    [shard] = [parse_shard(raw) for raw in made.shards if parse_shard(raw).xorbs]
    [file], [xorb] = shard.files, shard.xorbs
    assert format_hash(file.file_hash) == made.file_hash
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert xorb.xorb_hash == index.xorb_hash
    assert xorb.matches(index)

    hashes, lengths, rebuilt = b"", [], b""
    assert file.range_hashes is not None
    for term, verification in zip(file.terms, file.range_hashes, strict=True):
        chunks = term.chunk_start, term.chunk_end
        assert index.range_hash(*chunks) == verification
        first, last = index.byte_range(*chunks)
        rebuilt += decode_range(stored[first:last], index, *chunks)
        hashes += index.hashes(*chunks)
        lengths += index.lengths(*chunks)
    assert rebuilt == data
    assert format_hash(file_hash(merkle_root(hashes, lengths))) == made.file_hash


def test_root_of_the_noise_vector(tmp_path: Path) -> None:
    made = upload_with_client(SOURCES["noise"], tmp_path)
    assert list(made.xorbs) == ["df222b10719b3780e02fc489c65c01a0c408130ecceb0b28d0bab645b8d598dd"]
    [(_, stored)] = made.xorbs.items()
    verifier = XorbVerifier()
    verifier.feed(stored)
    index = verifier.finish()
    assert index.lengths()[:6] == [64662, 131072, 23091, 131072, 32553, 131072]
    assert format_hash(index.range_hash(0, index.count)) == (
        "da8246c26ba7efc9f274578eb7241f1631a3ee3d55c6c639590afdadb81aeae9"
    )
    assert made.file_hash == "46cc8e67a6c0ced4008d75931263aca51a291132458d226958c1b0715b12f465"
