"""Xet content: xorbs in the store, and the recipes of the files made from them."""

from __future__ import annotations

from django.db import models

from hub.models.repo import Repo


class Xorb(models.Model):
    """A verified xorb. Bytes and chunk index lie in the store; no row per chunk."""

    hash = models.CharField(max_length=64, unique=True)
    size_bytes = models.PositiveIntegerField()
    """Stored chunk records, without a footer."""
    unpacked_bytes = models.PositiveIntegerField()
    chunk_count = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    condemned_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """Since when collection finds it unused; cleared by whatever uses it again."""
    scrubbed_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """When its stored bytes were last looked at."""
    quarantined_at = models.DateTimeField(null=True, blank=True)
    """Since when its stored bytes are known to be damaged, and lie aside."""

    def __str__(self) -> str:
        return self.hash


class RepoXorb(models.Model):
    """A repository whose readers may know of chunks of this xorb: files of it use them."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="xorb_links")
    xorb = models.ForeignKey(Xorb, on_delete=models.CASCADE, related_name="repo_links")
    used = models.BinaryField(default=b"")
    """Those chunks, packed by hub.xet.chunk_ranges; the xorb may have others that are secret."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "xorb"], name="repo_xorb_unique")]

    def __str__(self) -> str:
        return f"{self.repo} {self.xorb}"


class XorbChunk(models.Model):
    """A chunk that answers deduplication queries (about 1 in 1024, and the first of each file)."""

    chunk_hash = models.CharField(max_length=64)
    xorb = models.ForeignKey(Xorb, on_delete=models.CASCADE, related_name="indexed_chunks")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chunk_hash", "xorb"], name="xorb_chunk_unique")
        ]

    def __str__(self) -> str:
        return self.chunk_hash


class XetFile(models.Model):
    """The recipe of a file: an ordered list of terms (xorb, first chunk, end chunk)."""

    file_hash = models.CharField(max_length=64, unique=True)
    sha256 = models.CharField(max_length=64, db_index=True)
    size_bytes = models.PositiveBigIntegerField()
    terms = models.BinaryField()
    """Packed by hub.xet.terms."""
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.file_hash
