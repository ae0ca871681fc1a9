"""Pure rules: what stands against a merge, and what titles and comments may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contributions.merging import PullState, obstacles_of
from contributions.models.discussion import MAX_TITLE_CHARS
from contributions.texts import (
    MAX_COMMENT_CHARS,
    checked_comment,
    checked_title,
    title_of_commit,
)
from hub.errors import HubError, InvalidInput, TooLarge


@pytest.mark.parametrize(
    ("state", "codes"),
    [
        (PullState("open", True, True), []),
        (PullState("draft", True, True), ["draft"]),
        (PullState("closed", True, True), ["closed"]),
        (PullState("merged", True, False), ["merged"]),
        (PullState("open", True, False), ["empty"]),
        (PullState("open", False, False), ["no-base"]),
        (PullState("draft", True, False), ["draft", "empty"]),
        (PullState("open", True, True, ["a"]), ["conflicts"]),
        (PullState("draft", True, True, ["a", "b"]), ["draft", "conflicts"]),
    ],
)  # fmt: skip
def test_every_reason_is_named(state: PullState, codes: list[str]) -> None:
    assert [obstacle.code for obstacle in obstacles_of(state)] == codes


def test_conflicts_carry_their_paths() -> None:
    (obstacle,) = obstacles_of(PullState("open", True, True, ["a", "b"]))
    assert obstacle.paths == ("a", "b")


@given(st.text(max_size=400))
def test_title_is_one_line_that_every_database_takes_or_refused(text: str) -> None:
    try:
        title = checked_title(text)
    except InvalidInput:
        return
    assert 0 < len(title) <= MAX_TITLE_CHARS
    assert title == " ".join(title.split())
    assert "\0" not in title
    assert title.encode()
    assert checked_title(title) == title


@given(st.text(max_size=400))
def test_comment_is_kept_but_for_outer_space_or_refused(text: str) -> None:
    try:
        comment = checked_comment(text)
    except HubError:
        return
    assert comment == text.strip() != ""
    assert comment.encode()


@pytest.mark.parametrize("text", ["", "  \n", "a\0b", "\ud800"])
def test_comment_that_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_comment(text)


def test_comment_has_a_largest_size() -> None:
    assert checked_comment("x" * MAX_COMMENT_CHARS)
    with pytest.raises(TooLarge):
        checked_comment("x" * (MAX_COMMENT_CHARS + 1))


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=600))
def test_every_commit_message_gives_a_title(text: str) -> None:
    title = title_of_commit(text)
    assert checked_title(title) == title
