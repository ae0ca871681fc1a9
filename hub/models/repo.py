"""Repositories. Git holds their content; these rows are what lists and search need."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from hub.models.account import Namespace, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class RepoType(models.TextChoices):
    """What a repository holds, by the protocol's word for it."""

    MODEL = "model", _("Model")
    DATASET = "dataset", _("Data set")
    SPACE = "space", _("Space")

    @property
    def address_prefix(self) -> str:
        """What stands before `namespace/name` in addresses of pages, files and git."""
        return "" if self is RepoType.MODEL else f"{self.value}s/"

    @property
    def route_prefix(self) -> str:
        """What stands before the name of a page's route."""
        return "" if self is RepoType.MODEL else f"{self.value}_"

    @classmethod
    def split_address(cls, address: str) -> tuple[RepoType, str, str]:
        """Type, namespace and name of `[models/|datasets/|spaces/]namespace/name`."""
        for repo_type in cls:
            if address.startswith(f"{repo_type.value}s/"):
                namespace, _slash, name = address.partition("/")[2].partition("/")
                return repo_type, namespace, name
        namespace, _slash, name = address.partition("/")
        return cls.MODEL, namespace, name


class Gate(models.TextChoices):
    """How people get at the files of a gated repository; an empty value stands for no gate."""

    AUTO = "auto", _("Whoever agrees to your conditions")
    MANUAL = "manual", _("People you let in one by one")


class RepoQuerySet(models.QuerySet["Repo"]):
    def visible_to(self, user: User | AnonymousUser | None) -> RepoQuerySet:
        """Public repositories and the private ones `user` may read."""
        if user is None or not user.is_authenticated:
            return self.filter(is_private=False)
        if user.is_superuser:
            return self
        organizations = user.memberships.values("organization_id")
        return self.filter(
            Q(is_private=False)
            | Q(namespace__user=user)
            | Q(namespace__organization_id__in=organizations)
        )

    def named(self, repo_type: str, namespace: str, name: str) -> RepoQuerySet:
        """The repository of that id, in any case."""
        return self.filter(
            repo_type=repo_type, namespace__name__iexact=namespace, name__iexact=name
        )


DUE_CLUTTER = 2_000
"""With so much of it a git repository is repacked: loose objects, or a hundredth as many packs."""


def new_storage_key() -> str:
    return uuid.uuid4().hex


def _listed(field: str) -> list[str]:
    return ["repo_type", "is_private", field, "id"]


class Repo(models.Model):
    """The repository of a model, a data set or a Space.

    Rows from `head_sha` down are a copy of what its git repository says, rebuilt by
    `manage.py rebuild_copy`.
    """

    repo_type = models.CharField(max_length=8, choices=RepoType)
    namespace = models.ForeignKey(Namespace, on_delete=models.PROTECT, related_name="repos")
    name = models.CharField(max_length=96)
    creator = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    is_private = models.BooleanField(default=False)
    gated = models.CharField(max_length=8, choices=Gate, blank=True)
    """Who sees the repository is one thing, who gets its files another: `hub.access` decides."""
    storage_key = models.CharField(
        max_length=32, unique=True, default=new_storage_key, editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_modified = models.DateTimeField(auto_now_add=True)
    downloads_all_time = models.PositiveBigIntegerField(default=0)
    downloads = models.PositiveBigIntegerField(default=0)
    """Over the last 30 days."""
    likes = models.PositiveIntegerField(default=0)
    """How many rows of `Like` name it; kept by `hub.actions.likes`."""
    trending_score = models.PositiveIntegerField(default=0)
    """Recent interest, see `hub.trending`; refreshed by a periodic task."""

    head_sha = models.CharField(max_length=40, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    """Of the files at the head of the default branch."""
    git_bytes = models.PositiveBigIntegerField(default=0)
    """What the git repository takes on disk, measured after each change of a ref."""
    git_clutter = models.PositiveIntegerField(null=True)
    """Into how many files its objects are scattered, measured with `git_bytes`."""
    repacked_at = models.DateTimeField(null=True)
    """When git last set about joining them."""
    description = models.CharField(max_length=500, blank=True)
    card_data = models.JSONField(default=dict)
    tags = models.JSONField(default=list)
    pipeline_tag = models.CharField(max_length=64, blank=True)
    library_name = models.CharField(max_length=64, blank=True)
    license = models.CharField(max_length=64, blank=True)
    config = models.JSONField(default=dict)
    safetensors = models.JSONField(null=True)
    """`{"parameters": {dtype: count}, "total": count}`; None where there are no such files."""
    parameter_count = models.PositiveBigIntegerField(null=True)

    objects = RepoQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("repo_type", "namespace", Lower("name"), name="repo_id_unique")
        ]
        indexes = [
            # Each order of lists is read backwards, public and private repositories apart.
            models.Index(fields=_listed("last_modified"), name="repo_by_modified"),
            models.Index(fields=_listed("created_at"), name="repo_by_created"),
            models.Index(fields=_listed("downloads"), name="repo_by_downloads"),
            models.Index(fields=_listed("likes"), name="repo_by_likes"),
            models.Index(fields=_listed("trending_score"), name="repo_by_trending"),
            models.Index(
                fields=["-git_clutter"],
                condition=Q(git_clutter__gte=DUE_CLUTTER),
                name="repo_by_clutter",
            ),
            models.Index(fields=["repo_type", "parameter_count"], name="repo_by_parameters"),
        ]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        """`namespace/name` in canonical case."""
        return f"{self.namespace.name}/{self.name}"

    @property
    def url_path(self) -> str:
        """Path of the repository's page: `/ns/name`, `/datasets/ns/name`, `/spaces/ns/name`."""
        return f"/{RepoType(self.repo_type).address_prefix}{self.full_name}"

    @property
    def api_path(self) -> str:
        return f"/api/{self.repo_type}s/{self.full_name}"


class RepoTag(models.Model):
    """A tag of a repository, for filters."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="tag_rows")
    tag = models.CharField(max_length=128)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "tag"], name="repo_tag_unique")]
        indexes = [models.Index(fields=["tag", "repo"], name="repo_tag_lookup")]

    def __str__(self) -> str:
        return self.tag


class RepoRedirect(models.Model):
    """An id that a repository once had."""

    repo_type = models.CharField(max_length=8, choices=RepoType)
    namespace_name = models.CharField(max_length=96)
    name = models.CharField(max_length=96)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="redirects")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "repo_type", Lower("namespace_name"), Lower("name"), name="redirect_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.namespace_name}/{self.name} → {self.repo}"


class DownloadDay(models.Model):
    """Downloads of a repository on one day (UTC)."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="download_days")
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "day"], name="download_day_unique")]

    def __str__(self) -> str:
        return f"{self.repo} {self.day}: {self.count}"
