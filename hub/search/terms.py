"""From texts to terms, for documents and for questions. Pure: both databases use the same terms.

A term starts with a letter for the type of repository and a mark for what it says:

| term | meaning |
|---|---|
| `m.word` | a word of the tags, description or card of a model |
| `m~ert` | part of its name from some letter to the end of a word, so that any part is a prefix |
| `m=org%2fname` | its whole name |
| `m#license%3amit` | a value that lists filter by |
| `m@org` | who it belongs to |

Scripts without spaces between words (Chinese, Japanese, Thai) are cut into pairs of characters.
Only letters, digits and `.~=#@%_-` occur in a term, so no text becomes syntax of a query.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

MAX_CARD_CHARS = 20_000
MAX_TERMS = 2_000
MAX_WORD_CHARS = 40
MAX_QUESTION_WORDS = 10
MIN_PREFIX_CHARS = 2
GATED = "is:gated"
"""Value of gated repositories."""
LINKED = "is:linked"
"""Value of the spaces that name a model or data set."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[^\W_])+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ACCENTS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True)
class Term:
    text: str
    is_prefix: bool = False


@dataclass(frozen=True)
class Condition:
    """Each clause must hold, and a clause holds if any of its terms is there; not so `none_of`,
    whose clauses must not all hold.

    `is_rare` says that only a handful of repositories can meet it.
    """

    clauses: tuple[tuple[Term, ...], ...]
    none_of: tuple[tuple[Term, ...], ...] = ()
    is_rare: bool = False


# --- Documents -------------------------------------------------------------------------------


def document_terms(
    repo_type: str,
    *,
    namespace: str,
    name: str,
    tags: Sequence[str],
    values: Iterable[str] = (),
    texts: Iterable[str],
) -> list[str]:
    """The terms by which a repository is found; those of the card end where there are too many.

    Args:
        tags: both words to be found by and values to filter by.
        values: to filter by only.
    """
    kind = repo_type[0]
    full_name = f"{namespace}/{name}"
    found = dict.fromkeys([whole_name(kind, name), whole_name(kind, full_name)])
    found[owner(kind, namespace)] = None
    found.update(dict.fromkeys(facet(kind, value) for value in (*tags, *values)))
    found.update(dict.fromkeys(f"{kind}~{part}" for part in _name_parts(full_name)))
    for text in (*tags, *texts):
        for word in _document_words(text[:MAX_CARD_CHARS]):
            found[f"{kind}.{word}"] = None
            if len(found) >= MAX_TERMS:
                return list(found)
    return list(found)


def facet(kind: str, value: str) -> str:
    return f"{kind}#{_plain(value)}"


def owner(kind: str, namespace: str) -> str:
    return f"{kind}@{_plain(namespace)}"


def whole_name(kind: str, name: str) -> str:
    return f"{kind}={_plain(name)}"


def _plain(value: str) -> str:
    """Any value as letters, digits and `%_.-~`; equal for values that differ in case alone."""
    return quote(unicodedata.normalize("NFKC", value).casefold(), safe="", errors="replace").lower()


def _name_parts(full_name: str) -> Iterator[str]:
    for word in _runs(full_name):
        yield from (word[at:] for at in range(max(1, len(word) - 1)))


def _document_words(text: str) -> Iterator[str]:
    for run in _runs(text):
        if _IS_UNSPACED.match(run):
            yield from (run[at : at + 2] for at in range(len(run)))
        else:
            yield run


def _runs(text: str) -> Iterator[str]:
    """Words, and unbroken stretches of scripts without spaces; folded, without accents."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    folded = unicodedata.normalize("NFKC", bare).casefold()
    for match in _RUN.finditer(folded):
        run = match.group()
        yield run if _IS_UNSPACED.match(run) else run[:MAX_WORD_CHARS]


# --- Questions -------------------------------------------------------------------------------


def question(
    repo_type: str,
    *,
    texts: Iterable[str],
    values: Iterable[str] = (),
    author: str = "",
    is_ranked: bool = True,
) -> list[Condition]:
    """What a question asks for, best first: the whole name, a part of the name, anything else.

    A repository meets at most one of the conditions. An empty list is met by none: the texts hold
    no word. Without texts the one condition is met by all that have the values and the author.

    Args:
        texts: what people typed; all their words must be found.
        values: tags, all of which must be there.
        is_ranked: false for one condition that is met by all of them alike.
    """
    kind = repo_type[0]
    fixed = [(Term(facet(kind, value)),) for value in values]
    if author:
        fixed.append((Term(owner(kind, author)),))
    texts = [text for text in texts if text.strip()]
    if not texts:
        return [Condition(tuple(fixed))]
    words = [word for text in texts for word in _question_words(text)]
    if not words:
        return []
    words = words[:MAX_QUESTION_WORDS]
    if not is_ranked:
        return [Condition((*fixed, *_anywhere(kind, words)))]
    return list(_tiers(kind, tuple(fixed), words, texts))


def _tiers(
    kind: str, fixed: tuple[tuple[Term, ...], ...], words: list[Term], texts: list[str]
) -> Iterator[Condition]:
    in_name = tuple((Term(f"{kind}~{word.text}", word.is_prefix),) for word in words)
    whole = ((Term(whole_name(kind, texts[0].strip())),),) if len(texts) == 1 else ()
    if whole:
        yield Condition(fixed + whole, is_rare=True)
    yield Condition(fixed + in_name, none_of=whole)
    yield Condition(fixed + _anywhere(kind, words), none_of=in_name)


def _anywhere(kind: str, words: list[Term]) -> tuple[tuple[Term, ...], ...]:
    return tuple(
        tuple(Term(f"{kind}{mark}{word.text}", word.is_prefix) for mark in "~.") for word in words
    )


def _question_words(text: str) -> Iterator[Term]:
    for run in _runs(text[:1000]):
        if not _IS_UNSPACED.match(run):
            yield Term(run, is_prefix=len(run) >= MIN_PREFIX_CHARS)
        elif len(run) == 1:
            yield Term(run, is_prefix=True)
        else:
            yield from (Term(run[at : at + 2]) for at in range(len(run) - 1))
