"""The content-addressed store as Xet clients speak to it, and the Hub's routes to its tokens.

Source: Xet protocol specification 1.1; hf-xet 1.8 where it differs.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.access import get_repo_for_contents, get_repo_for_proposal, get_repo_for_ref
from hub.actions.downloads import count_download
from hub.actions.shards import read_shard_body, register_shard
from hub.actions.xorbs import store_xorb
from hub.auth import Actor, token_actor_of
from hub.errors import (
    AuthenticationRequired,
    ContentDamaged,
    GatedRepo,
    InvalidInput,
    InvalidToken,
    NotFound,
    PermissionDenied,
    RangeNotSatisfiable,
    RepoNotFound,
    TooLarge,
)
from hub.hfapi.base import is_true
from hub.models import Repo, RepoType, RepoXorb, XetFile, Xorb
from hub.quotas import require_room
from hub.site import base_url, git_of
from hub.xet import dedup, errors
from hub.xet.bodies import RequestBody
from hub.xet.content import lookup_for, xorb_key
from hub.xet.events import shard_events
from hub.xet.hashing import format_hash, parse_hash
from hub.xet.ranges import parse_ranges
from hub.xet.sending import send_ranges, signed_url
from hub.xet.shard import MAX_SHARD_BYTES
from hub.xet.terms import (
    ReconstructionPlan,
    TermList,
    UrlFor,
    plan_reconstruction,
    v1_answer,
    v2_answer,
)
from hub.xet.token import (
    CasClaims,
    CasGrant,
    check_data_url,
    data_url_query,
    grant_of,
    issue_token,
    read_claims,
    read_token,
)
from hub.xet.xorb import MAX_UPLOAD_BYTES

_KINDS = {f"{repo_type.value}s": repo_type for repo_type in RepoType}


# --- Tokens, on the Hub's side ---------------------------------------------------------------


@require_safe
def read_token_route(
    request: HttpRequest, kind: str, namespace: str, name: str, revision: str
) -> HttpResponse:
    """`GET /api/{kind}/{namespace}/{name}/xet-read-token/{revision}`."""
    actor = token_actor_of(request)
    repo = get_repo_for_contents(actor, _repo_type(kind), namespace, name)
    _check_revision(repo, revision)
    count_download(request, repo, actor)
    return _token_answer(request, repo, actor, can_write=False)


@require_safe
def write_token_route(
    request: HttpRequest, kind: str, namespace: str, name: str, revision: str
) -> HttpResponse:
    """`GET /api/{kind}/{namespace}/{name}/xet-write-token/{revision}`; `None` is any revision."""
    actor = token_actor_of(request)
    if is_true(request.GET.get("create_pr")):
        repo = get_repo_for_proposal(actor, _repo_type(kind), namespace, name)
    else:
        repo = get_repo_for_ref(actor, _repo_type(kind), namespace, name, revision=revision)
    _check_revision(repo, revision)
    return _token_answer(request, repo, actor, can_write=True)


def _repo_type(kind: str) -> str:
    if kind not in _KINDS:
        raise RepoNotFound
    return _KINDS[kind]


def _check_revision(repo: Repo, revision: str) -> None:
    if revision != "None":
        git_of(repo).resolve(revision)


def _token_answer(
    request: HttpRequest, repo: Repo, actor: Actor, *, can_write: bool
) -> HttpResponse:
    """The token twice: hf-xet reads the JSON, huggingface_hub the headers."""
    token = issue_token(repo=repo, actor=actor, can_write=can_write)
    url = base_url(request) + reverse("cas-root").rstrip("/")
    body = {"casUrl": url, "accessToken": token.text, "exp": token.expires_at}
    response = JsonResponse(body)
    response["X-Xet-Cas-Url"] = url
    response["X-Xet-Access-Token"] = token.text
    response["X-Xet-Token-Expiration"] = str(token.expires_at)
    response["Cache-Control"] = "no-store"
    return response


# --- Uploads ---------------------------------------------------------------------------------


@csrf_exempt
@require_http_methods(["POST", "HEAD"])
def xorb(request: HttpRequest, xorb_hash: str) -> HttpResponse:
    """`POST /v1/xorbs/default/{hash}` takes a xorb in; HEAD tells its size."""
    if request.method == "HEAD":
        return _xorb_head(_grant(request), xorb_hash)
    require_room(_grant(request, needs_write=True).repo.namespace, 1)
    body = RequestBody(request)
    if body.announced_bytes > MAX_UPLOAD_BYTES:
        raise TooLarge(f"A xorb has at most {MAX_UPLOAD_BYTES} bytes.")
    return JsonResponse({"was_inserted": store_xorb(xorb_hash=xorb_hash, body=body)})


def _xorb_head(grant: CasGrant, xorb_hash: str) -> HttpResponse:
    link = RepoXorb.objects.filter(repo=grant.repo, xorb__hash=xorb_hash)
    size = link.values_list("xorb__size_bytes", flat=True).first()
    if size is None:
        raise NotFound("This repository has no such xorb.")
    return HttpResponse(headers={"Content-Length": str(size)})


@csrf_exempt
@require_POST
def shards_v1(request: HttpRequest) -> HttpResponse:
    """`POST /v1/shards`: register files, answer when all is checked."""
    grant = _grant(request, needs_write=True)
    steps = register_shard(repo=grant.repo, data=_shard_body(request))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return JsonResponse({"result": int(end.value)})


@csrf_exempt
@require_POST
def shards_v2(request: HttpRequest) -> StreamingHttpResponse:
    """`POST /v2/shards`: the same as a stream of events, whose errors users get to read."""
    grant = _grant(request, needs_write=True)
    steps = register_shard(repo=grant.repo, data=_shard_body(request))
    return StreamingHttpResponse(
        shard_events(steps),
        content_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _shard_body(request: HttpRequest) -> bytes:
    body = RequestBody(request)
    if body.announced_bytes > MAX_SHARD_BYTES:
        raise TooLarge(f"A shard has at most {MAX_SHARD_BYTES} bytes.")
    return read_shard_body(body)


@csrf_exempt
@require_POST
def telemetry(request: HttpRequest) -> HttpResponse:
    """`POST /v1/telemetry`: clients report their timings; we keep none of it."""
    return JsonResponse({})


# --- Downloads -------------------------------------------------------------------------------


@require_safe
def reconstruction_v1(request: HttpRequest, file_hash: str) -> HttpResponse:
    """`GET /v1/reconstructions/{file}`, for the bytes of the `Range` header."""
    grant = _grant(request)
    plan = _plan(request, grant, file_hash)
    return JsonResponse(v1_answer(plan, _url_for(request, grant)))


@require_safe
def reconstruction_v2(request: HttpRequest, file_hash: str) -> HttpResponse:
    """`GET /v2/reconstructions/{file}`."""
    grant = _grant(request)
    plan = _plan(request, grant, file_hash)
    return JsonResponse(v2_answer(plan, _url_for(request, grant)))


def _plan(request: HttpRequest, grant: CasGrant, file_hash: str) -> ReconstructionPlan:
    xet_file = _file_of(grant, file_hash)
    ranges = _ranges_of(request, xet_file.size_bytes)
    start, end = ranges[0] if ranges else (0, xet_file.size_bytes)
    terms = TermList.from_bytes(xet_file.terms)
    return plan_reconstruction(terms, lookup_for(terms, start, end), (start, end))


def _ranges_of(request: HttpRequest, size_bytes: int) -> list[tuple[int, int]] | None:
    try:
        return parse_ranges(request.headers.get("Range", ""), size_bytes)
    except errors.RangeNotSatisfiable as error:
        raise RangeNotSatisfiable(error.message) from error


def _file_of(grant: CasGrant, file_hash: str) -> XetFile:
    """A file of the token's repository: knowing a hash is no right to its content."""
    files = XetFile.objects.filter(file_hash=file_hash, repo_links__repo=grant.repo)
    xet_file = files.first()
    if xet_file is None:
        raise NotFound("This repository has no such file.")
    return xet_file


def _url_for(request: HttpRequest, grant: CasGrant) -> UrlFor:
    base = base_url(request)

    def url_for(xorb_hash: bytes, ranges: Any) -> str:
        query = data_url_query(repo=grant.repo, xorb_hash=xorb_hash, ranges=ranges)
        path = reverse("cas-data", args=[format_hash(xorb_hash)])
        return f"{base}{path}?{urlencode(query, safe=',')}"

    return url_for


@require_safe
def file_head(request: HttpRequest, file_hash: str) -> HttpResponse:
    """`HEAD /v1/files/{file}`: whether the repository has it, and its size."""
    size = _file_of(_grant(request), file_hash).size_bytes
    if request.method != "HEAD":
        raise NotFound
    return HttpResponse(headers={"Content-Length": str(size)})


@require_safe
def data(request: HttpRequest, xorb_hash: str) -> HttpResponseBase:
    """Bytes of a xorb by signed URL: any of the ranges it allows, one or several at a time.

    Where the store can sign, a reader of the whole xorb is sent on to it. (A link of the
    repository to the xorb would not do: it may be there for a few of the chunks.)
    """
    names = ("repo", "ranges", "expires", "signature")
    proof = {name: request.GET.get(name, "") for name in names}
    allowed = check_data_url(xorb_hash=xorb_hash, readers=request.GET.get("for", ""), **proof)
    stored = Xorb.objects.filter(hash=xorb_hash).first()
    if stored is None:
        raise NotFound("This xorb is no longer stored.")
    if stored.quarantined_at is not None:
        raise ContentDamaged
    ranges = _allowed_ranges(request, allowed, stored.size_bytes)
    key = xorb_key(parse_hash(xorb_hash))
    # Neither a bucket nor a proxy holds a reader to the signed ranges: they send only what was
    # signed as a whole.
    is_open = allowed == [(0, stored.size_bytes)]
    if is_open and len(ranges) == 1 and (url := signed_url(key)) is not None:
        return HttpResponse(status=302, headers={"Location": url, "Cache-Control": "no-store"})
    return send_ranges(key, ranges, stored.size_bytes, by_proxy=is_open)


def _allowed_ranges(
    request: HttpRequest, allowed: list[tuple[int, int]], size_bytes: int
) -> list[tuple[int, int]]:
    ranges = _ranges_of(request, size_bytes)
    if not ranges:
        raise InvalidInput("This URL needs a Range header with ranges that it was signed for.")
    for start, end in ranges:
        if not any(first <= start and end <= last for first, last in allowed):
            raise PermissionDenied("This URL was not signed for that range.")
    return ranges


@require_safe
def chunk_query(request: HttpRequest, prefix: str, chunk_hash: str) -> HttpResponse:
    """`GET /v1/chunks/{prefix}/{hash}`: what is known around a chunk, or 404.

    A folder of small files asks once a file, mostly for what nobody has. That is answered on the
    token's word; who has lost the right behind it is told the same of a chunk that is here.
    """
    claims = read_claims(_bearer_token(request))
    shard = _around_chunk(claims, chunk_hash) if dedup.is_indexed(chunk_hash) else None
    if shard is None:
        raise NotFound("This chunk is not known.")
    return HttpResponse(shard, content_type="application/octet-stream")


def _around_chunk(claims: CasClaims, chunk_hash: str) -> bytes | None:
    try:
        grant = grant_of(claims)
    except (InvalidToken, PermissionDenied, RepoNotFound, GatedRepo):
        return None
    return dedup.answer_query(chunk_hash, repo=grant.repo, actor=grant.actor)


@csrf_exempt
def not_offered(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Any other CAS route: 404 makes clients fall back to what is there."""
    raise NotFound("This site does not offer this CAS route.")


def _grant(request: HttpRequest, *, needs_write: bool = False) -> CasGrant:
    return read_token(_bearer_token(request), needs_write=needs_write)


def _bearer_token(request: HttpRequest) -> str:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text.strip():
        raise AuthenticationRequired("This needs a CAS token.")
    return text.strip()
