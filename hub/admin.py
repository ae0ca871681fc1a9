"""What maintainers see of the hub. Changes go through the same actions as everybody's."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from hub.actions.quotas import set_quota
from hub.models import (
    AccessRequest,
    AccessToken,
    AuditEntry,
    CommitScan,
    FileScan,
    Membership,
    Namespace,
    Organization,
    Repo,
    User,
)
from hub.usage import logical_bytes


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only the platform writes."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "full_name", "is_staff", "is_active", "date_joined"]
    search_fields = ["username", "email", "full_name"]
    ordering = ["-date_joined"]
    readonly_fields = ["username", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Profile", {"fields": ["full_name", "email", "bio", "homepage"]}),
        ("Rights", {"fields": ["is_active", "is_staff", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin):
    list_display = ["__str__", "full_name", "created_at"]
    search_fields = ["namespace__name", "full_name"]
    inlines = [MembershipInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Namespace)
class NamespaceAdmin(ModelAdmin):
    """Quotas of users and organisations. Empty: the site's default; -1: no limit."""

    list_display = ["name", "held", "quota_bytes"]
    search_fields = ["name"]
    ordering = ["name"]
    fields = ["name", "held", "quota_bytes"]
    readonly_fields = ["name", "held"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Namespace | None = None) -> bool:
        return False

    def save_model(
        self, request: HttpRequest, obj: Namespace, form: ModelForm[Namespace], change: bool
    ) -> None:
        assert isinstance(request.user, User)
        set_quota(namespace=obj, quota_bytes=obj.quota_bytes, acting_user=request.user)

    @display(description="held")
    def held(self, namespace: Namespace) -> str:
        return filesizeformat(logical_bytes(namespace))


@admin.register(Repo)
class RepoAdmin(ReadOnlyAdmin):
    list_display = ["page", "repo_type", "is_private", "size_bytes", "downloads", "last_modified"]
    list_filter = ["repo_type", "is_private", "library_name", "license"]
    search_fields = ["name", "namespace__name"]
    ordering = ["-last_modified"]
    list_select_related = ["namespace"]

    def has_delete_permission(self, request: HttpRequest, obj: Repo | None = None) -> bool:
        return False

    @display(description="repository", ordering="name")
    def page(self, repo: Repo) -> str:
        return format_html('<a href="{}">{}</a>', repo.url_path, repo.full_name)


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    """Tokens can be revoked here, never read."""

    list_display = ["name", "user", "scope", "prefix", "is_internal", "last_used_at", "expires_at"]
    list_filter = ["scope", "is_internal"]
    search_fields = ["name", "user__username"]
    exclude = ["digest"]


@admin.register(AccessRequest)
class AccessRequestAdmin(ReadOnlyAdmin):
    """Who stands where at the gate of a repository. What they wrote is for its maintainers."""

    list_display = ["user", "repo", "status", "created_at", "decided_at", "decided_by"]
    list_filter = ["status"]
    search_fields = ["user__username", "repo__name", "repo__namespace__name"]
    ordering = ["-created_at"]
    list_select_related = ["user", "repo__namespace", "decided_by"]
    fields = ["user", "repo", "status", "created_at", "decided_at", "decided_by"]

    def has_delete_permission(self, request: HttpRequest, obj: AccessRequest | None = None) -> bool:
        return False


@admin.register(CommitScan)
class CommitScanAdmin(ReadOnlyAdmin):
    list_display = ["repo", "commit_sha", "state", "verdict", "queued_at", "finished_at"]
    list_filter = ["state", "verdict"]
    search_fields = ["repo__name", "repo__namespace__name", "commit_sha"]
    ordering = ["-queued_at"]
    list_select_related = ["repo__namespace"]


@admin.register(FileScan)
class FileScanAdmin(ReadOnlyAdmin):
    list_display = ["file_name", "scanner", "verdict", "scanned_at"]
    list_filter = ["verdict", "scanner"]
    search_fields = ["file_name", "content_id"]
    ordering = ["-scanned_at"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "verb", "actor", "target"]
    list_filter = ["verb"]
    search_fields = ["target", "actor__username"]
    ordering = ["-created_at"]
    list_select_related = ["actor"]

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False
