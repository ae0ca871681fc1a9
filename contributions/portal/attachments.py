"""Files for comments: the page that takes one, and their bytes.

The script of the comment form sends a file's bytes alone, and is told its address as text. The form
of the page, which needs no script, sends what a browser makes of a file field.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from contributions.access import check_may_attach, get_attachment
from contributions.actions.attachments import keep_attachment
from contributions.models import Attachment
from contributions.portal.forms import AttachmentForm
from contributions.sniffing import KINDS, Medium
from hub.auth import actor_of
from hub.content import stored_content
from hub.errors import HubError
from hub.resolve.safe_types import describe_download
from hub.resolve.sending import send_content
from hub.xet.bodies import RequestBody

YEAR_S = 365 * 24 * 3600
_MEDIA = {kind.ending: kind.medium for kind in KINDS}


@login_required
@require_http_methods(["GET", "POST"])
def new_attachment(request: HttpRequest) -> HttpResponse:
    user = check_may_attach(actor_of(request))
    if request.method == "GET":
        return _page(request, AttachmentForm())
    if request.content_type != "multipart/form-data":
        body = RequestBody(request)
        made = keep_attachment(body, size_bytes=body.announced_bytes or None, acting_user=user)
        return HttpResponse(made.url_path, content_type="text/plain; charset=utf-8")
    form = AttachmentForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=422)
    file: UploadedFile = form.cleaned_data["file"]
    try:
        made = keep_attachment(file, size_bytes=file.size, acting_user=user)
    except HubError as error:
        form.add_error("file", error.message)
        return _page(request, form, status=error.status)
    return _page(request, AttachmentForm(), made=made, markdown=markdown_of(made))


def markdown_of(attachment: Attachment) -> str:
    """What a comment has to say to show it."""
    url, medium = attachment.url_path, _MEDIA[attachment.ending]
    if medium == Medium.IMAGE:
        return f"![]({url})"
    return url if medium == Medium.VIDEO else f'<audio controls src="{url}"></audio>'


def _page(
    request: HttpRequest, form: AttachmentForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"form": form, **more}
    return render(request, "contributions/attachment_new.html", context, status=status)


@require_safe
def attachment(request: HttpRequest, public_id: str, ending: str) -> HttpResponseBase:
    """The bytes, for everybody who knows the address; they never change."""
    found = get_attachment(public_id, ending)
    content = stored_content(found.store_key, size_bytes=found.size_bytes, etag=found.sha256)
    headers = describe_download(str(found), is_attachment=False)
    headers["ETag"] = f'"{found.sha256}"'
    headers["Accept-Ranges"] = "bytes"
    headers["Cache-Control"] = f"public, max-age={YEAR_S}, immutable"
    return send_content(request, content, headers)
