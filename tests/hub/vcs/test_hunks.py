"""Hunks against git's own numbers, and the marks of changed words."""

import re

import pytest

from hub.vcs.hunks import MAX_MARKED_CHARS, parse_patch
from hub.vcs.operations import AddFile


@pytest.fixture
def hunks_of(write, commit, repository):
    def make(old: bytes, new: bytes):
        first = write({"f": old})
        second = commit(AddFile("f", new))
        patch = repository.diff(first.sha, second.sha)[0].patch
        return parse_patch(patch)

    return make


def marked(line):
    return [piece.text for piece in line.pieces if piece.is_changed]


def test_lines_carry_the_numbers_of_both_versions(hunks_of):
    old = [b"line %d" % n for n in range(1, 31)]
    new = [*old[:4], b"made", *old[4:19], *old[20:]]
    hunks = hunks_of(b"\n".join(old) + b"\n", b"\n".join(new) + b"\n")
    assert len(hunks) == 2
    for hunk in hunks:
        for line in hunk.lines:
            text = line.text.encode()
            assert line.old_number is None or old[line.old_number - 1] == text
            assert line.new_number is None or new[line.new_number - 1] == text
    changed = [line for hunk in hunks for line in hunk.lines if line.kind != "context"]
    assert [(c.kind, c.old_number, c.new_number) for c in changed] == [
        ("added", None, 5),
        ("removed", 20, None),
    ]


def test_lines_that_look_like_headers_stay_lines(hunks_of):
    old, new = b"@@ -1 +1 @@\n-- a\n\\ b\n", b"@@ -1 +1 @@\n++ a\n\\ c\n"
    (hunk,) = hunks_of(old, new)
    assert [(line.kind, line.text) for line in hunk.lines] == [
        ("context", "@@ -1 +1 @@"),
        ("removed", "-- a"),
        ("removed", "\\ b"),
        ("added", "++ a"),
        ("added", "\\ c"),
    ]


def test_other_line_ends_do_not_tear_lines(hunks_of):
    (hunk,) = hunks_of("a\u2028b\x0cc\r\n".encode(), "a\u2028b\x0cd\r\n".encode())
    assert [line.text for line in hunk.lines] == ["a\u2028b\x0cc", "a\u2028b\x0cd"]


def test_a_missing_last_newline_is_told(hunks_of):
    (hunk,) = hunks_of(b"a\nb", b"a\nb\n")
    assert [(line.kind, line.lacks_newline) for line in hunk.lines] == [
        ("context", False),
        ("removed", True),
        ("added", False),
    ]


def test_changed_words_are_marked_in_both_lines(hunks_of):
    (hunk,) = hunks_of(b'"lr": 3e-4, "seed": 1\n', b'"lr": 3e-5, "seed": 1\n')
    old, new = hunk.lines
    assert (marked(old), marked(new)) == (["4"], ["5"])
    assert (old.text, new.text) == ('"lr": 3e-4, "seed": 1', '"lr": 3e-5, "seed": 1')


def test_unlike_and_very_long_lines_get_no_marks(hunks_of):
    (hunk,) = hunks_of(b"alpha beta gamma\n", b"one, two (three) four\n")
    assert [marked(line) for line in hunk.lines] == [[], []]
    long = b"word " * (MAX_MARKED_CHARS // 5 + 1)
    (hunk,) = hunks_of(long + b"a\n", long + b"b\n")
    assert [marked(line) for line in hunk.lines] == [[], []]


def test_every_line_of_a_patch_appears_once(hunks_of):
    old = b"".join(b"k%d: %d\n" % (n, n) for n in range(200))
    new = re.sub(rb"k(\d*7): (\d+)", rb"k\1: x\2", old)
    lines = [line for hunk in hunks_of(old, new) for line in hunk.lines]
    assert sum(line.kind == "removed" for line in lines) == 20
    assert sum(line.kind == "added" for line in lines) == 20
