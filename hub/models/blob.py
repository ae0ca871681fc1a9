"""Large files by content, and which repository may name them."""

from __future__ import annotations

from django.db import models

from hub.models.repo import Repo
from hub.models.xet import XetFile


class Blob(models.Model):
    """Verified content with this SHA-256.

    Stored plain under `lfs/…` (`is_plain`), or as chunks through a `XetFile`, or both.
    """

    sha256 = models.CharField(max_length=64, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    is_plain = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    condemned_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """Since when collection finds that no repository needs it; cleared by whatever does again."""
    scrubbed_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """When the plain copy was last looked at."""
    quarantined_at = models.DateTimeField(null=True, blank=True)
    """Since when no whole and true copy is known; an upload of the same content heals it."""
    converted_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """When chunks were made from the plain copy."""
    plain_read_at = models.DateTimeField(null=True, blank=True)
    """When somebody last fetched the whole content plain, to the hour."""
    conversion_failures = models.PositiveSmallIntegerField(default=0)
    conversion_failed_at = models.DateTimeField(null=True, blank=True)
    """When it last failed; a good while later it is tried again."""

    def __str__(self) -> str:
        return self.sha256

    @property
    def store_key(self) -> str:
        return f"lfs/{self.sha256[:2]}/{self.sha256[2:4]}/{self.sha256}"


class RepoBlob(models.Model):
    """The right of a repository to a blob: somebody who may propose changes sent its bytes to it.

    An oid spares an upload, and may be committed, only where such a row exists.
    """

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="blob_links")
    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="repo_links")
    xet_file = models.ForeignKey(
        XetFile, null=True, blank=True, on_delete=models.PROTECT, related_name="repo_links"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    condemned_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """Since when no ref of the repository leads to the content."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "blob"], name="repo_blob_unique")]

    def __str__(self) -> str:
        return f"{self.repo} {self.blob}"
