"""Verdicts of the scanners. The absence of a row means "not scanned", never "clean"."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from hub.models.repo import Repo


class Verdict(models.TextChoices):
    CLEAN = "clean", _("clean")
    SUSPICIOUS = "suspicious", _("suspicious")
    DANGEROUS = "dangerous", _("dangerous")
    FAILED = "failed", _("could not be scanned")


class ScanState(models.TextChoices):
    QUEUED = "queued", _("waiting for the scanner")
    SCANNING = "scanning", _("being scanned")
    DONE = "done", _("scanned")
    FAILED = "failed", _("scan failed")


class FileScan(models.Model):
    """What one scanner says of one content under one file name."""

    content_id = models.CharField(max_length=64)
    """Git SHA-1 of a regular file, SHA-256 of a large one."""
    file_name = models.CharField(max_length=255)
    scanner = models.CharField(max_length=40)
    scanner_version = models.CharField(max_length=40)
    verdict = models.CharField(max_length=12, choices=Verdict)
    findings = models.JSONField(default=list)
    scanned_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["content_id", "file_name", "scanner"], name="file_scan_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.file_name} {self.scanner}: {self.verdict}"


class CommitScan(models.Model):
    """How far the scan of one commit's files has come."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="commit_scans")
    commit_sha = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=ScanState, default=ScanState.QUEUED)
    verdict = models.CharField(max_length=12, choices=Verdict, blank=True)
    """The worst of its files; empty until the state is done."""
    error = models.CharField(max_length=500, blank=True)
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "commit_sha"], name="commit_scan_unique")
        ]
        indexes = [models.Index(fields=["state", "queued_at"], name="commit_scan_queue")]

    def __str__(self) -> str:
        return f"{self.repo} {self.commit_sha[:8]}: {self.state}"
