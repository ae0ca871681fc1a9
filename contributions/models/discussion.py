"""Discussions and pull requests: two kinds of one thing, numbered together per repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from hub.models import Repo
from hub.vcs.refs import BRANCHES, PULL_REQUESTS

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from hub.models import User

MAX_TITLE_CHARS = 200


class DiscussionStatus(models.TextChoices):
    DRAFT = "draft", _("Draft")
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")
    MERGED = "merged", _("Merged")


UNDER_WAY = (DiscussionStatus.DRAFT, DiscussionStatus.OPEN)
"""The states in which a pull request takes commits, and in which lists call it open."""


class DiscussionQuerySet(models.QuerySet["Discussion"]):
    def visible_to(self, user: User | AnonymousUser | None) -> DiscussionQuerySet:
        """Those of the repositories that `user` may read."""
        return self.filter(repo__in=Repo.objects.visible_to(user))

    def under_way(self) -> DiscussionQuerySet:
        return self.filter(status__in=UNDER_WAY)


class Discussion(models.Model):
    """A discussion, or a pull request: a proposal to bring `refs/pr/N` into a branch.

    `head_sha` copies the git ref `refs/pr/N`; git is the truth. `base_sha` is where that ref
    began, of a merged one where it had left its branch when it was merged; `merge_commit_sha` is
    the commit of the base branch that brought it in.
    """

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="discussions")
    num = models.PositiveIntegerField()
    """From 1 within the repository, shared by both kinds."""
    title = models.CharField(max_length=MAX_TITLE_CHARS)
    status = models.CharField(max_length=6, choices=DiscussionStatus, default=DiscussionStatus.OPEN)
    is_pull_request = models.BooleanField(default=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="discussions",
    )
    base_ref = models.CharField(max_length=255, blank=True)
    """Full name of the branch to merge into; empty for a discussion."""
    base_sha = models.CharField(max_length=40, blank=True)
    head_sha = models.CharField(max_length=40, blank=True)
    merge_commit_sha = models.CharField(max_length=40, blank=True)
    comment_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DiscussionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "num"], name="discussion_num_unique"),
            models.CheckConstraint(
                condition=Q(is_pull_request=True) ^ Q(base_ref=""), name="discussion_base_of_pull"
            ),
            models.CheckConstraint(
                condition=Q(is_pull_request=True)
                | Q(status__in=[DiscussionStatus.OPEN, DiscussionStatus.CLOSED]),
                name="discussion_status_of_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["repo", "status", "-num"], name="discussion_by_status"),
            models.Index(fields=["author", "-created_at"], name="discussion_by_author"),
        ]

    def __str__(self) -> str:
        return f"{self.repo}#{self.num}"

    @property
    def head_ref(self) -> str:
        """Full name of the ref that a pull request's commits go to."""
        return f"{PULL_REQUESTS}{self.num}"

    @property
    def base_branch(self) -> str:
        return self.base_ref.removeprefix(BRANCHES)

    @property
    def is_under_way(self) -> bool:
        """Neither closed nor merged."""
        return self.status in UNDER_WAY

    @property
    def url_path(self) -> str:
        return f"{self.repo.url_path}/discussions/{self.num}"
