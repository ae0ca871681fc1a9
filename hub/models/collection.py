"""Collections: lists of repositories and papers that somebody keeps under a title."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from hub.models.account import Namespace, User
from hub.models.repo import Repo

PUBLIC_ID_LENGTH = 24


def new_public_id() -> str:
    """24 hex digits, as ids of the protocol look."""
    return secrets.token_hex(PUBLIC_ID_LENGTH // 2)


class Theme(models.TextChoices):
    BLUE = "blue", _("blue")
    GREEN = "green", _("green")
    INDIGO = "indigo", _("indigo")
    ORANGE = "orange", _("orange")
    PINK = "pink", _("pink")
    PURPLE = "purple", _("purple")


class Collection(models.Model):
    """A titled list. Its address ends in `public_id`, by which it is found after a new title."""

    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="collections")
    public_id = models.CharField(
        max_length=PUBLIC_ID_LENGTH, unique=True, default=new_public_id, editable=False
    )
    title = models.CharField(_("title"), max_length=60)
    description = models.CharField(_("description"), max_length=150, blank=True)
    is_private = models.BooleanField(default=False)
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.BLUE)
    position = models.PositiveIntegerField(default=0)
    """Place among the collections of its namespace, from 0."""
    creator = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "title"], name="collection_title_unique")
        ]
        indexes = [models.Index(fields=["-updated_at", "-id"], name="collection_by_update")]

    def __str__(self) -> str:
        return f"{self.namespace}: {self.title}"

    @property
    def slug(self) -> str:
        """`namespace/title-id`, the collection's name in the protocol."""
        return f"{self.namespace.name}/{self.short_slug}"

    @property
    def short_slug(self) -> str:
        """What follows the namespace in `slug`."""
        return "-".join(filter(None, [slugify(self.title), self.public_id]))


class CollectionItem(models.Model):
    """One thing in a collection: a repository, a paper by its arXiv id, or another collection."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="items")
    public_id = models.CharField(
        max_length=PUBLIC_ID_LENGTH, unique=True, default=new_public_id, editable=False
    )
    repo = models.ForeignKey(Repo, null=True, on_delete=models.CASCADE, related_name="+")
    listed = models.ForeignKey(Collection, null=True, on_delete=models.CASCADE, related_name="+")
    paper_id = models.CharField(max_length=20, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)
    position = models.PositiveIntegerField(default=0)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collection", "repo"], name="item_repo_unique"),
            models.UniqueConstraint(fields=["collection", "listed"], name="item_listed_unique"),
            models.UniqueConstraint(
                fields=["collection", "paper_id"],
                condition=~Q(paper_id=""),
                name="item_paper_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.collection}: {self.repo or self.listed or self.paper_id}"

    @property
    def item_type(self) -> str:
        """The protocol's word for what it is."""
        if self.repo is not None:
            return self.repo.repo_type
        return "paper" if self.paper_id else "collection"
