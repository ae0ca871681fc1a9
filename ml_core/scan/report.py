"""What a scanner says about a file: findings, and the verdict that follows from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """`INFO` changes no verdict; `ERROR` says that the scanner could not do its work."""

    INFO = "info"
    ERROR = "error"
    WARNING = "warning"
    DANGER = "danger"


class Verdict(StrEnum):
    """`NOT_SCANNED` is what a file without any report has; no report carries it."""

    CLEAN = "clean"
    NOT_SCANNED = "not_scanned"
    FAILED = "failed"
    SUSPICIOUS = "suspicious"
    DANGEROUS = "dangerous"


VERDICT_OF: Mapping[Severity, Verdict] = {
    Severity.INFO: Verdict.CLEAN,
    Severity.ERROR: Verdict.FAILED,
    Severity.WARNING: Verdict.SUSPICIOUS,
    Severity.DANGER: Verdict.DANGEROUS,
}
BADNESS = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True)
class Finding:
    """One observation; `code` is stable, `detail` is JSON and never holds a secret."""

    code: str
    severity: Severity
    message: str
    detail: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "detail": dict(self.detail),
        }


@dataclass(frozen=True)
class ScanReport:
    """What one scanner in one version found in one file."""

    scanner: str
    version: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "scanner": self.scanner,
            "version": self.version,
            "verdict": self.verdict.value,
            "findings": [finding.to_json() for finding in self.findings],
        }


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict a person should see for several; `NOT_SCANNED` for none at all."""
    return max(verdicts, key=BADNESS.__getitem__, default=Verdict.NOT_SCANNED)


def report_from(
    scanner: str, version: str, findings: Iterable[Finding], *, max_findings: int = 100
) -> ScanReport:
    """A report whose verdict is that of its worst finding; the worst are kept if there are many."""
    ordered = sorted(findings, key=lambda f: -BADNESS[VERDICT_OF[f.severity]])
    verdict = VERDICT_OF[ordered[0].severity] if ordered else Verdict.CLEAN
    kept = ordered[:max_findings]
    if len(ordered) > max_findings:
        n_more = len(ordered) - max_findings
        kept.append(
            Finding("more-findings", Severity.INFO, f"{n_more} more findings.", {"n": n_more})
        )
    return ScanReport(scanner, version, verdict, tuple(kept))
