"""What maintainers see of contributions. Changes go through the same actions as everybody's."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.translation import ngettext
from unfold.decorators import action, display

from contributions.actions.attachments import remove_attachment
from contributions.models import Attachment, Webhook, WebhookDelivery
from hub.admin import ReadOnlyAdmin
from hub.models import User


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Where news goes. Of an address only the host is shown: the rest may hold a secret."""

    list_display = [
        "public_id", "owner", "host", "disabled_reason", "failures_in_a_row", "created_at",
    ]  # fmt: skip
    list_filter = ["disabled_reason"]
    search_fields = ["public_id", "owner__username"]
    ordering = ["-created_at"]
    list_select_related = ["owner"]
    fields = [
        "public_id", "owner", "host", "hears_repos", "hears_discussions", "disabled_reason",
        "disabled_at", "failures_in_a_row", "busy_until", "created_at",
    ]  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Webhook | None = None) -> bool:
        return False

    @display(description="host")
    def host(self, webhook: Webhook) -> str:
        return urlsplit(webhook.url).hostname or "–"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What was sent, without the text, which may tell of private repositories."""

    list_display = [
        "public_id", "webhook", "scope", "action", "state", "attempts", "status_code", "error",
        "created_at",
    ]  # fmt: skip
    list_filter = ["state", "scope"]
    search_fields = ["public_id", "webhook__public_id", "webhook__owner__username"]
    ordering = ["-created_at"]
    list_select_related = ["webhook"]
    fields = [
        "public_id", "event_id", "webhook", "scope", "action", "is_by_hand", "state", "attempts",
        "next_attempt_at", "attempted_at", "duration_ms", "status_code", "error", "created_at",
    ]  # fmt: skip

    def has_delete_permission(
        self, request: HttpRequest, obj: WebhookDelivery | None = None
    ) -> bool:
        return False


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    list_display = ["file", "owner", "size", "uses", "created_at", "condemned_at"]
    list_filter = ["ending"]
    search_fields = ["public_id", "owner__username", "sha256"]
    ordering = ["-created_at"]
    list_select_related = ["owner"]
    exclude = ["used_by"]
    actions = ["remove_chosen"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attachment]:
        found: QuerySet[Attachment] = super().get_queryset(request)
        return found.annotate(n_uses=Count("used_by"))

    def has_delete_permission(self, request: HttpRequest, obj: Attachment | None = None) -> bool:
        return False

    @display(description="file")
    def file(self, attachment: Attachment) -> str:
        return format_html('<a href="{}">{}</a>', attachment.url_path, attachment)

    @display(description="size", ordering="size_bytes")
    def size(self, attachment: Attachment) -> str:
        return filesizeformat(attachment.size_bytes)

    @display(description="comments", ordering="n_uses")
    def uses(self, attachment: Attachment) -> int:
        return attachment.n_uses  # type: ignore[attr-defined]  # of get_queryset

    @action(description="Delete now, whatever shows them", permissions=["view"])
    def remove_chosen(self, request: HttpRequest, chosen: QuerySet[Attachment]) -> None:
        assert isinstance(request.user, User)
        files = list(chosen)
        for attachment in files:
            remove_attachment(attachment=attachment, acting_user=request.user)
        text = ngettext("%(n)s file was deleted.", "%(n)s files were deleted.", len(files))
        messages.success(request, text % {"n": len(files)})
