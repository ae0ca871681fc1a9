"""Port to applications that know more of a repository than its files say: tags of their making.

A tag in the card of a data set is whatever its owner likes, but for those that begin like
`hub.cards.tags.RESERVED`: they come from here only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hub.models import Repo

Source = Callable[[Repo], Iterable[str]]
_sources: list[Source] = []


def tell_tags(source: Source) -> None:
    """Adds a source of tags of data sets; called while the process starts.

    Whoever adds it calls `refresh_repo_metadata` when its answer changes.
    """
    if source not in _sources:
        _sources.append(source)


def told_tags(dataset: Repo) -> Iterator[str]:
    """What all sources say of a data set."""
    for source in _sources:
        yield from source(dataset)
