"""People, organisations, and the one space of names they share."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person. `username` equals the name of the user's namespace."""

    full_name = models.CharField(_("full name"), max_length=150, blank=True)
    bio = models.CharField(_("about"), max_length=500, blank=True)
    homepage = models.URLField(_("home page"), blank=True)

    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]

    def get_full_name(self) -> str:
        return self.full_name or self.username

    def get_short_name(self) -> str:
        return self.username


class Organization(models.Model):
    full_name = models.CharField(_("full name"), max_length=150, blank=True)
    bio = models.CharField(_("about"), max_length=500, blank=True)
    homepage = models.URLField(_("home page"), blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    def __str__(self) -> str:
        return self.namespace.name


class Namespace(models.Model):
    """A name that can own repositories: a user's or an organisation's, unique in any case."""

    name = models.CharField(max_length=96)
    user = models.OneToOneField(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="namespace"
    )
    organization = models.OneToOneField(
        Organization, null=True, blank=True, on_delete=models.CASCADE, related_name="namespace"
    )
    quota_bytes = models.BigIntegerField(_("quota in bytes"), null=True, blank=True)
    """What its repositories may hold together; None: the site's default, -1: no limit."""

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("name"), name="namespace_name_unique"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True) ^ models.Q(organization__isnull=True),
                name="namespace_has_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_organization(self) -> bool:
        return self.organization_id is not None


class Role(models.TextChoices):
    READ = "read", _("Read")
    CONTRIBUTOR = "contributor", _("Contributor")
    WRITE = "write", _("Write")
    ADMIN = "admin", _("Admin")


class Membership(models.Model):
    """A user's role in an organisation.

    read: sees private repositories. contributor: also creates repositories and changes own ones.
    write: changes all. admin: also settings, members and deletion.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_unique")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}: {self.role}"
