"""Vectors: own computation at the time the protocol was studied, file hashes equal to hf_xet's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.xet import hashing
from hub.xet.errors import FormatError
from tests.support.xet import lcg_bytes

LCG_LENGTHS = [64662, 131072, 23091, 131072, 32553, 131072]

VECTORS = [
    pytest.param(
        [b"hello xet"],
        "6a349f801ba87a0089cf89b95d9d40c810b6645471948f7399870fe76957b6cb",
        "6a349f801ba87a0089cf89b95d9d40c810b6645471948f7399870fe76957b6cb",
        "7fe64ee1a188b9b2297a7637697fa23c5a98fe8020b9a69084269b2d15711637",
        "f424584c6e5c91f4aca30206ad6e90a0ba28fb941714dadae2a0954878ee8743",
        id="one small chunk",
    ),
    pytest.param(
        [bytes(131072)] * 8,
        "2e39f13c248013b27e22913ba2893a654120ed0ad8eb7ecbf3f05b9d708634fc",
        "8c15d5bfe292d5f8f3b992149581636a5c4078ce9c4349d43f1a762ba0609839",
        "1e671fe124cea35586b1d1c30b9d4fc6b4e05ee60c93406986444f7c23d54056",
        "4c8a43f586d304f6006c4a323671636fbb32ffc7d146b778ed91ddca10f80fce",
        id="eight chunks of zeros",
    ),
]


@pytest.mark.parametrize(("chunks", "first", "root", "whole", "verification"), VECTORS)
def test_hashes_equal_the_vectors(
    chunks: list[bytes], first: str, root: str, whole: str, verification: str
) -> None:
    hashes = [hashing.chunk_hash(chunk) for chunk in chunks]
    assert hashing.format_hash(hashes[0]) == first
    tree = hashing.merkle_root(b"".join(hashes), [len(chunk) for chunk in chunks])
    assert hashing.format_hash(tree) == root
    assert hashing.format_hash(hashing.file_hash(tree)) == whole
    assert hashing.format_hash(hashing.range_hash(b"".join(hashes))) == verification


def test_first_chunk_of_the_noise_vector() -> None:
    first = hashing.chunk_hash(lcg_bytes(LCG_LENGTHS[0]))
    assert hashing.format_hash(first) == (
        "d268e73ccad507db1e32904cbbb76cf651682582a09bb5a2a494e6b5fec61ca8"
    )


def test_string_form_reverses_groups_of_eight_bytes() -> None:
    text = "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"
    assert hashing.format_hash(bytes(range(32))) == text
    assert hashing.parse_hash(text) == bytes(range(32))


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "A" * 64, "0" * 64 + "\n"])
def test_other_strings_are_no_hashes(text: str) -> None:
    with pytest.raises(FormatError):
        hashing.parse_hash(text)


def test_nothing_has_the_zero_root_and_the_zero_file_hash() -> None:
    assert hashing.merkle_root(b"", []) == bytes(32)
    assert hashing.file_hash(bytes(32), is_empty=True) == bytes(32)


def test_the_zero_key_hides_nothing_and_another_key_does() -> None:
    raw = bytes(range(32))
    assert hashing.keyed_hash(hashing.ZERO_KEY, raw) == raw
    assert hashing.keyed_hash(b"k" * 32, raw) != raw


def reference_root(nodes: list[tuple[bytes, int]]) -> bytes:
    """The rule of the specification, word by word, over a whole level at a time."""
    while len(nodes) > 1:
        parents = []
        while nodes:
            take = min(9, len(nodes))
            if len(nodes) > 2:
                for at in range(2, take):
                    if int.from_bytes(nodes[at][0][24:], "little") % 4 == 0:
                        take = at + 1
                        break
            group, nodes = nodes[:take], nodes[take:]
            lines = [f"{hashing.format_hash(raw)} : {size}\n" for raw, size in group]
            parent = hashing.blake3("".join(lines).encode(), key=hashing.NODE_KEY).digest()
            parents.append((parent, sum(size for _, size in group)))
        nodes = parents
    return nodes[0][0]


@given(st.integers(1, 400), st.integers(0, 2**32), st.lists(st.integers(1, 60), max_size=20))
def test_root_does_not_depend_on_how_chunks_arrive(
    count: int, seed: int, batches: list[int]
) -> None:
    hashes = [hashing.chunk_hash(f"{seed} {at}".encode()) for at in range(count)]
    lengths = [1 + (seed + at) % 131072 for at in range(count)]
    builder, at = hashing.MerkleBuilder(), 0
    for size in [*batches, count]:
        part = slice(at, min(at + size, count))
        builder.add(b"".join(hashes[part]), lengths[part])
        at = min(at + size, count)
    expected = reference_root(list(zip(hashes, lengths, strict=True)))
    assert builder.root() == expected
    assert hashing.merkle_root(b"".join(hashes), lengths) == expected
