"""What a data set holds at a commit, and the answers of readers about it, kept for a while.

Every function takes a repository that the caller has already been let into.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from hub.cards.front_matter import CardError, parse_card
from hub.content import Content, blob_content, blob_link
from hub.errors import EntryNotFound
from hub.models import AuditEntry, Repo
from hub.site import git_of
from hub.vcs import Repository, TreeEntry
from hub.vcs.errors import EntryNotFound as NoSuchEntry
from hub.vcs.errors import EntryTooLarge
from hub.viewer.data_names import TooManyFiles
from hub.viewer.errors import ConfigNotFound, DataError, NoData, SplitNotFound
from hub.viewer.kept import answer_of, kept_answer, place_of
from hub.viewer.layout import Config, Split, find_configs, pack_configs, unpack_configs
from hub.viewer.reader.jobs import DataFile, Job, Limits
from hub.viewer.readers import Answer, run_job

MAX_LISTED_FILES = 300_000
MAX_README_BYTES = 2 * 1024**2
ROWS_LIMITS = Limits()
STATISTICS_LIMITS = Limits(scan_s=10.0)
_FORM = 2
"""Raised when answers change their form, so that kept ones are not used."""


@dataclass(frozen=True)
class DataSet:
    """A data set at one commit."""

    repo: Repo
    commit_sha: str

    @cached_property
    def git(self) -> Repository:
        return git_of(self.repo)

    @cached_property
    def configs(self) -> list[Config]:
        """Its configs, the default one first. Raises `DataError` where the card asks too much."""
        return unpack_configs(answer_of(self.place("configs"), self._find_configs))

    def _find_configs(self) -> dict[str, Any]:
        tree = islice(self.git.tree(self.commit_sha, recursive=True), MAX_LISTED_FILES)
        files = (entry.path for entry in tree if entry.kind == "file")
        try:
            return pack_configs(find_configs(files, self._card_data()))
        except TooManyFiles as error:
            raise DataError("TooManyFiles", str(error)) from None

    @cached_property
    def _last_deletion(self) -> int:
        """Raised when contents are deleted for good, so that nothing kept of them is used."""
        deletions = AuditEntry.objects.filter(repo=self.repo, verb="repo.large_files_deleted")
        return deletions.order_by("-pk").values_list("pk", flat=True).first() or 0

    def _card_data(self) -> dict[str, Any]:
        try:
            raw = self.git.read(self.commit_sha, "README.md", max_bytes=MAX_README_BYTES)
            return parse_card(raw.decode("utf-8", "replace")).data
        except (NoSuchEntry, EntryTooLarge, CardError):
            return {}

    def part(self, config: str | None, split: str | None) -> Part:
        """The split of that name; the first ones where None.

        Raises:
            NoData, ConfigNotFound, SplitNotFound
            DataError: as `configs`.
        """
        if not self.configs:
            raise NoData
        chosen = self.configs[0]
        if config is not None:
            chosen = next((each for each in self.configs if each.name == config), chosen)
            if chosen.name != config:
                known = ", ".join(each.name for each in self.configs[:50])
                raise ConfigNotFound(f"There is no config “{config[:80]}”, only: {known}.")
        found = chosen.splits[0] if split is None else chosen.split(split)
        if found is None:
            known = ", ".join(each.name for each in chosen.splits[:50])
            message = f"The config “{chosen.name}” has no split “{str(split)[:80]}”, only: {known}."
            raise SplitNotFound(message)
        return Part(self, chosen, found)

    def place(self, *what: object) -> Path:
        """Where an answer about this commit is kept."""
        return place_of(self.repo.pk, _FORM, self.commit_sha, self._last_deletion, *what)


@dataclass(frozen=True)
class Part:
    """One split of a data set."""

    data: DataSet
    config: Config
    split: Split

    @cached_property
    def entries(self) -> list[TreeEntry]:
        return self.data.git.entries(self.data.commit_sha, self.split.paths)

    def rows(
        self,
        *,
        offset: int = 0,
        length: int = 100,
        query: str = "",
        where: str = "",
        order_by: str = "",
        columns: list[str] | None = None,
        limits: Limits = ROWS_LIMITS,
    ) -> dict[str, Any]:
        """A page of rows. Raises `DataError`, `ViewerBusy`."""
        job = self._job(
            "rows", offset=offset, length=length, query=query, where=where,
            order_by=order_by, columns=columns, limits=limits,
        )  # fmt: skip
        found = self._kept(job)
        if found["num_rows_total"] is None:
            found["num_rows_total"] = self.config.num_examples.get(self.split.name)
        return found

    def statistics(self, columns: list[str] | None = None) -> dict[str, Any]:
        """What the values of the columns are like. Raises as `rows`."""
        return self._kept(self._job("statistics", columns=columns, limits=STATISTICS_LIMITS))

    def kept_statistics(self, columns: list[str] | None = None) -> dict[str, Any] | None:
        """The statistics, if they are at hand without reading."""
        job = self._job("statistics", columns=columns, limits=STATISTICS_LIMITS)
        kept = kept_answer(self._place(job))
        return kept.get("answer") if kept else None

    def media(self, *, column: str, offset: int, length: int) -> Answer:
        """Pictures or sounds that lie inside the rows of data files. Raises as `rows`."""
        return self._ask(self._job("media", column=column, offset=offset, length=length))

    def place(self, *what: object) -> Path:
        """Where an answer about this split is kept."""
        return self.data.place(self.config.name, self.split.name, *what)

    def _job(self, verb: Any, **facts: Any) -> Job:
        """A question, without the files, which need not be looked up for a kept answer."""
        return Job(verb, self.split.format, [], declared=self.config.declared, **facts)

    def _place(self, job: Job) -> Path:
        return self.place(job.to_json())

    def _kept(self, job: Job) -> dict[str, Any]:
        """The answer to `job`: kept from before, or asked of a reader now."""
        found: dict[str, Any] = answer_of(self._place(job), lambda: self._ask(job).value)
        return found

    def _ask(self, job: Job) -> Answer:
        files = [DataFile(entry.path, entry.size_bytes) for entry in self.entries]
        with closing(RangeReader(self.data.repo, self.entries, self.data.git)) as reader:
            return run_job(dataclasses.replace(job, files=files), reader)


class RangeReader:
    """Bytes of the files of a part, wherever they lie; what is open is closed at the end."""

    def __init__(self, repo: Repo, entries: Sequence[TreeEntry], git: Repository) -> None:
        self._repo, self._entries, self._git = repo, entries, git
        self._number: int | None = None
        self._source: bytes | int | Content | None = None

    def __call__(self, number: int, start: int, end: int) -> bytes | None:
        """The bytes [start, end) of a file; None where its content is not stored here."""
        try:
            source = self._open(number)
            if isinstance(source, bytes):
                return source[start:end]
            if isinstance(source, int):
                return os.pread(source, end - start, start)
            return b"".join(source.stream(start, end))
        except (EntryNotFound, FileNotFoundError):
            return None

    def close(self) -> None:
        if isinstance(self._source, int):
            os.close(self._source)
        self._number = self._source = None

    def _open(self, number: int) -> bytes | int | Content:
        """The file; one at a time, as readers go from file to file."""
        if number != self._number or self._source is None:
            self.close()
            self._source, self._number = self._found(self._entries[number]), number
        return self._source

    def _found(self, entry: TreeEntry) -> bytes | int | Content:
        if entry.lfs is None:
            return self._git.read_blob(entry.oid)
        link = blob_link(self._repo, entry.lfs.oid)
        if link is None:
            raise EntryNotFound
        content = blob_content(link)
        if content.local_path is not None:
            return os.open(content.local_path, os.O_RDONLY)
        return content


def open_data_set(repo: Repo, revision: str) -> DataSet:
    """The data set at a branch, tag or commit. Raises `RevisionNotFound`."""
    return DataSet(repo, git_of(repo).resolve(revision))
