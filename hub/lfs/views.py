"""LFS over HTTP. Bodies of objects are streams; the rest is small JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from hub.access import get_repo_for_contents, get_repo_for_proposal
from hub.actions.blobs import part_key, register_blob
from hub.auth import token_actor_of
from hub.content import blob_content, blob_link
from hub.errors import InvalidInput, NotFound, TooLarge
from hub.hfapi.bodies import input_of
from hub.lfs.batch import Batch, parse_batch, parse_object, unprocessable
from hub.lfs.completion import SLOW_BYTES, check_parts, complete, complete_slowly
from hub.lfs.transfer_urls import Transfer, open_transfer
from hub.models import Repo
from hub.resolve.sending import send_content
from hub.site import base_url, store
from hub.storage import Received, ReceiveError, receive

MEDIA_TYPE = "application/vnd.git-lfs+json"
_MAX_JSON_BYTES = 4 * 1024 * 1024

View = Callable[..., HttpResponseBase]


def _lfs_view(view: View) -> View:
    """A view for tokens and signed addresses; bytes that break a promise are the client's fault."""

    @csrf_exempt
    @wraps(view)
    def wrapped(request: HttpRequest, **captured: Any) -> HttpResponseBase:  # Any: URL parts
        try:
            return view(request, **captured)
        except ReceiveError as error:
            raise InvalidInput(error.message, **error.details) from error

    return wrapped


@_lfs_view
@require_POST
def batch(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponseBase:
    asked = parse_batch(_json_body(request))
    actor = token_actor_of(request)
    is_upload = asked.operation == "upload"
    get_repo = get_repo_for_proposal if is_upload else get_repo_for_contents
    repo = get_repo(actor, repo_type, namespace, name)
    return _answer(Batch(repo, actor, _lfs_url(request, repo)).answer(asked))


@_lfs_view
@require_POST
def verify(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponseBase:
    """Whether an object has arrived: clients ask after an upload.

    Hub clients send their token here, git-lfs relies on the address alone.
    """
    wanted = parse_object(_json_body(request))
    if "signature" in request.GET:
        repo = open_transfer("verify", wanted.oid, request.GET.dict()).repo
    else:
        repo = get_repo_for_proposal(token_actor_of(request), repo_type, namespace, name)
    link = blob_link(repo, wanted.oid)
    if link is None:
        raise NotFound("This object has not arrived, or its bytes were not what was promised.")
    if link.blob.size_bytes != wanted.size:
        raise unprocessable(f"The object has {link.blob.size_bytes} bytes.")
    return _answer({"oid": wanted.oid, "size": wanted.size})


@_lfs_view
@require_http_methods(["GET", "HEAD", "PUT"])
def lfs_object(
    request: HttpRequest, repo_type: str, namespace: str, name: str, oid: str
) -> HttpResponseBase:
    """The bytes of an object, either way, by an address that the batch gave out."""
    if request.method != "PUT":
        return _download(request, open_transfer("download", oid, request.GET.dict()))
    transfer = open_transfer("upload", oid, request.GET.dict())
    received = _receive(request, size_bytes=transfer.size_bytes, sha256=oid)
    try:
        register_blob(repo=transfer.repo, received=received)
    finally:
        received.path.unlink(missing_ok=True)
    return _answer({})


@_lfs_view
@require_http_methods(["PUT"])
def part(
    request: HttpRequest, repo_type: str, namespace: str, name: str, oid: str, number: int
) -> HttpResponseBase:
    """One part of an upload."""
    transfer = open_transfer("part", oid, request.GET.dict())
    if not 1 <= number <= transfer.part_count:
        raise InvalidInput(f"Parts are counted from 1 to {transfer.part_count}.")
    received = _receive(request, size_bytes=transfer.size_of_part(number), sha256=None)
    try:
        store().put_file(part_key(transfer.upload_id, number), received.path)
    finally:
        received.path.unlink(missing_ok=True)
    response = _answer({})
    response["ETag"] = f'"{received.sha256}"'
    return response


@_lfs_view
@require_POST
def complete_upload(
    request: HttpRequest, repo_type: str, namespace: str, name: str, oid: str
) -> HttpResponseBase:
    """All parts have been sent. A client that asks twice gets the same answer."""
    transfer = open_transfer("complete", oid, request.GET.dict())
    if blob_link(transfer.repo, oid) is not None:
        return _answer({"oid": oid})
    check_parts(transfer, _json_body(request))
    if transfer.size_bytes > SLOW_BYTES:
        return StreamingHttpResponse(complete_slowly(transfer), content_type=MEDIA_TYPE)
    complete(transfer)
    return _answer({"oid": oid})


@_lfs_view
def no_locks(request: HttpRequest, **captured: Any) -> HttpResponseBase:  # Any: URL parts
    """File locking, which we do not offer; clients take the 404 as that."""
    raise NotFound("This site does not offer file locking.")


def _download(request: HttpRequest, transfer: Transfer) -> HttpResponseBase:
    link = blob_link(transfer.repo, transfer.oid)
    if link is None:
        raise NotFound("This repository has no such object.")
    headers = {
        "ETag": f'"{transfer.oid}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
    return send_content(request, blob_content(link), headers)


def _receive(request: HttpRequest, *, size_bytes: int, sha256: str | None) -> Received:
    """The body, checked while it is written. Raises `ReceiveError`; nothing is left then."""
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != size_bytes:
        raise InvalidInput(f"The body has {length} bytes, {size_bytes} were promised.")
    return receive(
        input_of(request),
        staging_dir=Path(settings.STAGING_DIR),
        limit_bytes=settings.MAX_LFS_FILE_BYTES,
        expected_size=size_bytes,
        expected_sha256=sha256,
    )


def _json_body(request: HttpRequest) -> bytes:
    data = input_of(request).read(_MAX_JSON_BYTES + 1)
    if len(data) > _MAX_JSON_BYTES:
        raise TooLarge(f"The body may have at most {_MAX_JSON_BYTES} bytes.")
    return data


def _lfs_url(request: HttpRequest, repo: Repo) -> str:
    return f"{base_url(request)}{repo.url_path}.git/info/lfs"


def _answer(body: dict[str, Any]) -> HttpResponse:  # Any: JSON values
    return JsonResponse(body, content_type=MEDIA_TYPE)
