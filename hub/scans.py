"""What the scanners say of files, as pages and clients read it. Reads only.

A verdict belongs to a content under a file name, so it holds in every commit and repository that
has the same file. What nobody has scanned is "not scanned", whatever else is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from django.core.cache import cache
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hub.models import CommitScan, FileScan, Repo, ScanState
from hub.scan_words import finding_text
from hub.site import git_of
from hub.vcs import TreeEntry
from ml_core.scan.report import Verdict, worst

IDS_PER_QUERY = 400
MAX_FLAGGED = 100
SUMMARY_KEPT_S = 600

STATES: Mapping[str, str] = {
    Verdict.CLEAN: "clean",
    Verdict.SUSPICIOUS: "suspicious",
    Verdict.DANGEROUS: "unsafe",
    Verdict.FAILED: "error",
}
API_STATES: Mapping[str, str] = {"clean": "safe", "pending": "queued", "scanning": "queued",
                                 "not_scanned": "unscanned"}  # fmt: skip
API_SAFETY = {"dangerous-import": "dangerous", "unknown-import": "suspicious"}

SCANNER_TITLES: Mapping[str, str | Promise] = {
    "archive": _("Archive listing"),
    "content": _("Name, content and size"),
    "gguf": _("GGUF header"),
    "pickle-imports": _("Pickle imports, by our list"),
    "picklescan": _("Pickle imports, by picklescan"),
    "remote-code": _("Code of the repository"),
    "safetensors": _("safetensors header"),
    "secrets": _("Secrets in text"),
}


@dataclass(frozen=True)
class ScannerStatus:
    """What one scanner found; `findings` are dicts with code, severity, message, detail."""

    scanner: str
    version: str
    verdict: str
    findings: Sequence[Mapping[str, Any]]
    scanned_at: datetime

    @property
    def state(self) -> str:
        return STATES[self.verdict]

    @property
    def title(self) -> str | Promise:
        return SCANNER_TITLES.get(self.scanner, self.scanner)


@dataclass(frozen=True)
class FileStatus:
    """All that is known of one file.

    `state` is the word for the chip: clean, suspicious, unsafe, error, pending, scanning or
    not_scanned.
    """

    path: str
    state: str
    scanners: tuple[ScannerStatus, ...] = ()

    @property
    def is_scanned(self) -> bool:
        return bool(self.scanners)

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """Of all scanners, in the reader's language; those that matter most first.

        Dicts of code, severity, message, detail and `scanner`, the title of the one that found it.
        """
        order = {"danger": 0, "warning": 1, "error": 2, "info": 3}
        found = [
            {**finding, "message": finding_text(finding), "scanner": status.title}
            for status in self.scanners
            for finding in status.findings
        ]
        return sorted(found, key=lambda finding: order.get(str(finding["severity"]), 4))

    @property
    def scanned_at(self) -> datetime | None:
        return max((s.scanned_at for s in self.scanners), default=None)

    @property
    def needs_remote_code(self) -> bool:
        return any(f["code"] == "needs-remote-code" for s in self.scanners for f in s.findings)

    def to_api(self) -> dict[str, Any]:
        """The Hub's `securityFileStatus`."""
        return {
            "status": API_STATES.get(self.state, self.state),
            "avScan": None,
            "pickleImportScan": self._pickle_api(),
        }

    def _pickle_api(self) -> dict[str, Any] | None:
        scan = next((s for s in self.scanners if s.scanner == "pickle-imports"), None)
        if scan is None:
            return None
        imports = [
            {
                "module": finding["detail"].get("module"),
                "name": finding["detail"].get("name"),
                "safety": API_SAFETY[finding["code"]],
            }
            for finding in scan.findings
            if finding["code"] in API_SAFETY
        ]
        return {
            "status": API_STATES.get(scan.state, scan.state),
            "pickleImports": imports,
            "version": scan.version,
        }


@dataclass(frozen=True)
class RepoSecurity:
    """The scan of one commit as a whole; `flagged` are its files that are not clean."""

    state: str
    n_files: int = 0
    n_by_state: Mapping[str, int] = field(default_factory=dict)
    flagged: tuple[FileStatus, ...] = ()
    n_flagged: int = 0
    needs_remote_code: bool = False
    finished_at: datetime | None = None
    error: str = ""

    @property
    def is_done(self) -> bool:
        return not {"pending", "scanning", "not_scanned"} & self.n_by_state.keys()

    def to_api(self) -> dict[str, Any]:
        """The Hub's `securityRepoStatus`."""
        issues = [f for f in self.flagged if f.is_scanned]
        return {
            "scansDone": self.is_done,
            "filesWithIssues": [
                {"path": f.path, "level": API_STATES.get(f.state, f.state)} for f in issues
            ],
        }


def security_status(repo: Repo, commit_sha: str, paths: Iterable[str]) -> dict[str, FileStatus]:
    """Status by path of the files among `paths`; what does not exist is left out."""
    return entry_statuses(repo, commit_sha, git_of(repo).entries(commit_sha, paths))


def entry_statuses(
    repo: Repo, commit_sha: str, entries: Iterable[TreeEntry]
) -> dict[str, FileStatus]:
    """Status by path of the files among `entries` of a commit."""
    files = [entry for entry in entries if entry.kind == "file"]
    return _statuses(files, _waiting_state(_commit_scan(repo, commit_sha)))


def repo_security(repo: Repo, commit_sha: str) -> RepoSecurity:
    """The summary over all files of a commit; kept for a while once its scan is done."""
    scan = _commit_scan(repo, commit_sha)
    if scan is None or scan.state != ScanState.DONE:
        return _summarize(repo, commit_sha, scan)
    kept: RepoSecurity | None = cache.get(_summary_key(scan))
    return kept or summarize_done(scan)


def summarize_done(scan: CommitScan) -> RepoSecurity:
    """The summary of a finished scan, computed afresh and kept for the next readers."""
    summary = _summarize(scan.repo, scan.commit_sha, scan)
    cache.set(_summary_key(scan), summary, SUMMARY_KEPT_S)
    return summary


def _summary_key(scan: CommitScan) -> str:
    finished = scan.finished_at.timestamp() if scan.finished_at else 0
    return f"repo-security:{scan.repo_id}:{scan.commit_sha}:{finished}"


def _summarize(repo: Repo, commit_sha: str, scan: CommitScan | None) -> RepoSecurity:
    entries = [e for e in git_of(repo).tree(commit_sha, recursive=True) if e.kind == "file"]
    statuses = _statuses(entries, _waiting_state(scan))
    flagged = sorted(
        (s for s in statuses.values() if s.state != "clean"),
        key=lambda status: (-_BADNESS.get(status.state, 0), status.path),
    )
    state = _overall_state(statuses.values())
    return RepoSecurity(
        state=state,
        n_files=len(statuses),
        n_by_state=Counter(s.state for s in statuses.values()),
        flagged=tuple(flagged[:MAX_FLAGGED]),
        n_flagged=len(flagged),
        needs_remote_code=any(s.needs_remote_code for s in statuses.values()),
        finished_at=scan.finished_at if scan else None,
        error=scan.error if scan else "",
    )


def content_id(entry: TreeEntry) -> str:
    """What a verdict belongs to: SHA-256 of large content, git id of the rest."""
    return entry.lfs.oid if entry.lfs else entry.oid


def file_name(path: str) -> str:
    """The part of a path that a verdict depends on."""
    return PurePosixPath(path).name


def stored_scans(entries: Iterable[TreeEntry]) -> dict[tuple[str, str], list[FileScan]]:
    """Rows by content id and file name."""
    ids = sorted({content_id(entry) for entry in entries})
    found: dict[tuple[str, str], list[FileScan]] = {}
    for start in range(0, len(ids), IDS_PER_QUERY):
        for row in FileScan.objects.filter(content_id__in=ids[start : start + IDS_PER_QUERY]):
            found.setdefault((row.content_id, row.file_name), []).append(row)
    return found


_BADNESS = {
    state: rank
    for rank, state in enumerate(
        ["clean", "pending", "scanning", "not_scanned", "error", "suspicious", "unsafe"]
    )
}


def _statuses(entries: Sequence[TreeEntry], waiting: str) -> dict[str, FileStatus]:
    rows = stored_scans(entries)
    return {
        entry.path: _status(
            entry.path, rows.get((content_id(entry), file_name(entry.path)), []), waiting
        )
        for entry in entries
    }


def _status(path: str, rows: Sequence[FileScan], waiting: str) -> FileStatus:
    scanners = tuple(_scanner_statuses(rows))
    verdict = worst(Verdict(scanner.verdict) for scanner in scanners)
    return FileStatus(path, STATES.get(verdict, waiting), scanners)


def _scanner_statuses(rows: Sequence[FileScan]) -> Iterator[ScannerStatus]:
    for row in sorted(rows, key=lambda row: row.scanner):
        yield ScannerStatus(
            row.scanner, row.scanner_version, row.verdict, row.findings, row.scanned_at
        )


def _commit_scan(repo: Repo, commit_sha: str) -> CommitScan | None:
    return CommitScan.objects.filter(repo=repo, commit_sha=commit_sha).first()


def _waiting_state(scan: CommitScan | None) -> str:
    """The state of a file of the commit that has no verdict."""
    if scan is None:
        return "not_scanned"
    states = {ScanState.QUEUED: "pending", ScanState.SCANNING: "scanning",
              ScanState.FAILED: "error"}  # fmt: skip
    return states.get(ScanState(scan.state), "not_scanned")


def _overall_state(statuses: Iterable[FileStatus]) -> str:
    """A danger found counts at once; short of one, what is still waiting keeps it open."""
    states = {status.state for status in statuses}
    return max(states, key=lambda state: _BADNESS[state], default="not_scanned")
