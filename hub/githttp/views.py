"""Git's smart protocol. Tokens only: a browser's session opens nothing here.

Source: gitprotocol-http(5); Hub protocol, section 4.11.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from hub.access import get_repo_for_contents, get_repo_for_proposal
from hub.actions.pushes import receive_push
from hub.auth import Actor, token_actor_of
from hub.downloads import note_fetch
from hub.errors import HubError, InvalidInput, NotServed, PushRefused
from hub.githttp.bodies import body_of, drain
from hub.githttp.commands import PushRequest, advertise, read_push, report
from hub.githttp.pktline import ProtocolError, Readable
from hub.githttp.upload_pack import Advertisement, UploadPack, asks_for_objects, spool_request
from hub.models import Repo
from hub.site import git_of
from hub.storage.errors import StorageError
from hub.vcs.errors import PackRefused, VcsError

_LINGER_BYTES = 256 * 1024**2
"""So much of a refused push is read over, for the client to see why; then the line is cut."""

_REFUSED = "the push was refused, nothing was changed"


@csrf_exempt
@require_GET
def info_refs(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponseBase:
    """C46: what there is, before a fetch or a push."""
    service, actor = request.GET.get("service"), token_actor_of(request)
    if service == "git-receive-pack":
        repo = get_repo_for_proposal(actor, repo_type, namespace, name)
        refs = git_of(repo).raw_refs()
        return _answer("git-receive-pack-advertisement", advertise(refs))
    repo = get_repo_for_contents(actor, repo_type, namespace, name)
    if service != "git-upload-pack":
        raise NotServed("This site speaks git's smart protocol only: use git 1.6.6 or newer.")
    protocol = request.headers.get("Git-Protocol", "")
    return _answer("git-upload-pack-advertisement", Advertisement(repo, protocol))


@csrf_exempt
@require_POST
def upload_pack(
    request: HttpRequest, repo_type: str, namespace: str, name: str
) -> HttpResponseBase:
    """C47: one request of a clone or fetch."""
    actor = token_actor_of(request)
    repo = get_repo_for_contents(actor, repo_type, namespace, name)
    body = body_of(request, media_type="application/x-git-upload-pack-request")
    with spool_request(body) as spooled:
        if asks_for_objects(spooled):
            note_fetch(request, repo, actor)
        protocol = request.headers.get("Git-Protocol", "")
        return _answer("git-upload-pack-result", UploadPack(repo, protocol, stdin=spooled))


@csrf_exempt
@require_POST
def receive_pack(
    request: HttpRequest, repo_type: str, namespace: str, name: str
) -> HttpResponseBase:
    """C48: a push. That it was refused is said in the answer, not by its status."""
    actor = token_actor_of(request)
    repo = get_repo_for_proposal(actor, repo_type, namespace, name)
    body = body_of(request, media_type="application/x-git-receive-pack-request")
    try:
        push = read_push(body)
    except (ProtocolError, OSError) as error:
        raise InvalidInput(str(error)) from None
    answer = _push(repo, push, body, actor) if push.moves else b""
    drain(body, max_bytes=_LINGER_BYTES)
    return _answer("git-receive-pack-result", [answer])


@csrf_exempt
def to_page(request: HttpRequest, **ids: str) -> HttpResponseBase:
    """The address for git, opened in a browser."""
    return HttpResponseRedirect(request.path.removesuffix("/").removesuffix(".git"))


@csrf_exempt
def no_plain_files(request: HttpRequest, **found: str) -> HttpResponse:
    """What clients of the dumb protocol ask for."""
    raise NotServed("This site speaks git's smart protocol only: use git 1.6.6 or newer.")


def _push(repo: Repo, push: PushRequest, pack: Readable, actor: Actor) -> bytes:
    """The report on a push, carried out or refused."""
    refused = {move.full_name: _REFUSED for move in push.moves}
    try:
        receive_push(repo=repo, moves=push.moves, pack=pack, actor=actor)
    except PushRefused as error:
        return report(push, refused=refused | error.refs, text=error.message)
    except PackRefused as error:
        return report(push, unpack=str(error), refused=refused)
    except (HubError, VcsError, StorageError) as error:
        return report(push, refused=refused, text=str(error))
    return report(push, refused={})


def _answer(kind: str, content: Iterable[bytes]) -> StreamingHttpResponse:
    headers = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "Pragma": "no-cache"}
    media_type = f"application/x-{kind}"
    return StreamingHttpResponse(content, content_type=media_type, headers=headers)
