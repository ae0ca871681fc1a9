"""What the search knows of each repository, and how many repositories share a value."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from hub.models.repo import Repo, RepoType


class TermsField(models.TextField):
    """Terms of `hub.search.terms`, written with a space between: a `tsvector` on PostgreSQL."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "tsvector" if connection.vendor == "postgresql" else "text"

    def get_placeholder(self, value: Any, compiler: Any, connection: BaseDatabaseWrapper) -> str:
        if connection.vendor == "postgresql":
            return "array_to_tsvector(string_to_array(%s, ' '))"
        return "%s"


class RepoSearch(models.Model):
    """The terms by which a repository is found, rebuilt by `manage.py rebuild_search`.

    Apart from `Repo`, so that a download or a like does not touch the text index. That index is
    made in the migration: GIN on PostgreSQL, FTS5 kept by triggers on SQLite.
    """

    repo = models.OneToOneField(
        Repo, primary_key=True, on_delete=models.CASCADE, related_name="search_row"
    )
    terms = TermsField()

    def __str__(self) -> str:
        return f"search terms of {self.repo}"


class FacetCount(models.Model):
    """How many public repositories have a value: counted now and then where there are many."""

    repo_type = models.CharField(max_length=8, choices=RepoType)
    facet = models.CharField(max_length=16)
    value = models.CharField(max_length=128)
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo_type", "facet", "value"], name="facet_unique")
        ]

    def __str__(self) -> str:
        return f"{self.facet} {self.value}: {self.count}"
