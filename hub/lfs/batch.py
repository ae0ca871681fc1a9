"""The LFS batch API: what a client must send, what it may fetch, and where.

Source: git-lfs `docs/api/batch.md`; the multipart form is the Hub protocol's, section 4.7.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from django.conf import settings

from hub.actions.commits import linked_sizes
from hub.auth import Actor
from hub.errors import HubError, InvalidInput, QuotaExceeded, TooLarge
from hub.lfs.pointer import is_lfs_oid
from hub.lfs.transfer_urls import Transfer, Verb, signed_query
from hub.models import Repo
from hub.quotas import limit_of, quota_of
from hub.usage import linked_oids

MAX_OBJECTS = 1000
MOST_PARTS = 1000

_Json = dict[str, Any]  # Any: JSON values


@dataclass(frozen=True, slots=True)
class WantedObject:
    """An object as a client names it; its fields may be nonsense."""

    oid: Any  # Any: whatever the client sent
    size: Any  # Any: whatever the client sent

    @property
    def fault(self) -> str | None:
        """Why this is no object, in words; None if it is one."""
        if not is_lfs_oid(self.oid):
            return "the oid must be a SHA-256 in lower-case hex"
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 0:
            return "the size must be a number that is not negative"
        if self.size > settings.MAX_LFS_FILE_BYTES:
            return f"a file may have at most {settings.MAX_LFS_FILE_BYTES} bytes"
        return None


@dataclass(frozen=True, slots=True)
class BatchRequest:
    operation: Literal["upload", "download"]
    transfers: tuple[str, ...]
    objects: tuple[WantedObject, ...]

    @property
    def is_answered_by_xet(self) -> bool:
        """Whether a Hub client of before 1.20 asks to send by Xet, which it then does by itself.

        Its offer of parts tells it from git-lfs, whose agent for Xet would need more of an answer.
        """
        return self.operation == "upload" and {"multipart", "xet"} <= set(self.transfers)


def parse_batch(data: bytes) -> BatchRequest:
    """The request in a body.

    Raises:
        InvalidInput: it is not one, or asks for a hash or transfer that we do not know.
        TooLarge: too many objects at once.
    """
    body = _json_object(data)
    objects = body.get("objects")
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise InvalidInput("“objects” must be a list of objects with oid and size.")
    if len(objects) > MAX_OBJECTS:
        raise TooLarge(f"At most {MAX_OBJECTS} objects may be asked for at once.")
    operation = body.get("operation")
    if operation not in ("upload", "download"):
        raise unprocessable("“operation” must be “upload” or “download”.")
    if body.get("hash_algo", "sha256") != "sha256":
        raise unprocessable("Only the hash algorithm sha256 is supported.", 409)
    return BatchRequest(
        operation=cast("Literal['upload', 'download']", operation),
        transfers=_transfers(body.get("transfers")),
        objects=tuple(WantedObject(item.get("oid"), item.get("size")) for item in objects),
    )


def parse_object(data: bytes) -> WantedObject:
    """The one object that a body names. Raises `InvalidInput`."""
    body = _json_object(data)
    item = WantedObject(body.get("oid"), body.get("size"))
    if item.fault is not None:
        raise unprocessable(f"This is no object: {item.fault}.")
    return item


def _json_object(data: bytes) -> _Json:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidInput("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.")
    return body


def _transfers(value: object) -> tuple[str, ...]:
    names = [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
    if names and not {"basic", "multipart"} & set(names):
        raise unprocessable("This site offers the transfers “basic” and “multipart”.")
    return tuple(names) or ("basic",)


def unprocessable(message: str, status: int = 422) -> HubError:
    """An error for a body that is well-formed and makes no sense."""
    error = InvalidInput(message)
    error.status = status
    return error


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers one batch for one repository and caller.

    Args:
        lfs_url: absolute URL of the repository's LFS root, without a final slash.
    """

    repo: Repo
    actor: Actor
    lfs_url: str

    def answer(self, request: BatchRequest) -> _Json:
        """The body of the answer; a faulty object gets an error of its own.

        Content counts as present only where this very repository has been sent it.
        """
        wanted = [item.oid for item in request.objects if item.fault is None]
        linked = linked_sizes(self.repo, wanted)
        is_xet = request.is_answered_by_xet
        is_multipart = request.operation == "upload" and not is_xet and _in_parts(request, linked)
        one: Callable[[WantedObject], _Json]
        if request.operation == "download":
            one = lambda item: self._download(item, linked)  # noqa: E731
        else:
            refusals = self._without_room(request)
            one = lambda item: (  # noqa: E731
                refusals.get(item.oid) or self._upload(item, linked, is_multipart=is_multipart)
            )
        return {
            "transfer": "xet" if is_xet else "multipart" if is_multipart else "basic",
            "objects": [_answered(item, one) for item in request.objects],
            "hash_algo": "sha256",
        }

    def _without_room(self, request: BatchRequest) -> dict[str, _Json]:
        """Errors of new objects that do not fit into the owner's quota; the first come first."""
        if limit_of(self.repo.namespace) is None:
            return {}
        quota = quota_of(self.repo.namespace)
        sizes = {item.oid: item.size for item in request.objects if item.fault is None}
        charged = linked_oids(self.repo, sizes)
        errors: dict[str, _Json] = {}
        added = 0
        for oid, size_bytes in sizes.items():
            if oid in charged:
                continue
            if quota.has_room_for(added + size_bytes):
                added += size_bytes
            else:
                message = quota.refusal(size_bytes).message
                errors[oid] = {"error": {"code": QuotaExceeded.status, "message": message}}
        return errors

    def _download(self, item: WantedObject, linked: dict[str, int]) -> _Json:
        if item.oid not in linked:
            return {"error": {"code": 404, "message": "This repository has no such object."}}
        if linked[item.oid] != item.size:
            return _size_error(linked[item.oid])
        return {"authenticated": True, "actions": {"download": self._action("download", item)}}

    def _upload(self, item: WantedObject, linked: dict[str, int], *, is_multipart: bool) -> _Json:
        if item.oid in linked:
            return {} if linked[item.oid] == item.size else _size_error(linked[item.oid])
        upload = self._parts_action(item) if is_multipart else self._action("upload", item)
        query = signed_query(Transfer("verify", item.oid, item.size, self.repo, self.actor))
        verify = {"href": f"{self.lfs_url}/verify?{query}", **_lifetime()}
        return {"authenticated": True, "actions": {"upload": upload, "verify": verify}}

    def _action(self, verb: Verb, item: WantedObject) -> _Json:
        query = signed_query(Transfer(verb, item.oid, item.size, self.repo, self.actor))
        return {"href": f"{self.lfs_url}/objects/{item.oid}?{query}", **_lifetime()}

    def _parts_action(self, item: WantedObject) -> _Json:
        """Addresses of all parts, and of the completion, in the form that Hub clients know."""
        upload_id, part_bytes = secrets.token_hex(16), part_bytes_for(item.size)

        def query(verb: Verb) -> str:
            return signed_query(
                Transfer(verb, item.oid, item.size, self.repo, self.actor, upload_id, part_bytes)
            )

        root, part_query = f"{self.lfs_url}/objects/{item.oid}", query("part")
        parts = range(1, -(-item.size // part_bytes) + 1)
        header = {str(number): f"{root}/parts/{number}?{part_query}" for number in parts}
        return {
            "href": f"{root}/complete?{query('complete')}",
            "header": {"chunk_size": str(part_bytes), **header},
            **_lifetime(),
        }


def part_bytes_for(size_bytes: int) -> int:
    """Size of the parts of an upload: the configured one, or more to keep their number down."""
    configured: int = settings.LFS_PART_BYTES
    return max(configured, -(-size_bytes // MOST_PARTS))


def _in_parts(request: BatchRequest, linked: dict[str, int]) -> bool:
    """Whether to upload in parts: the client can, and an object is too large for one request."""
    if "multipart" not in request.transfers:
        return False
    to_send: Sequence[WantedObject] = [
        item for item in request.objects if item.fault is None and item.oid not in linked
    ]
    return any(item.size > settings.LFS_SINGLE_PUT_BYTES for item in to_send) and all(
        item.size for item in to_send
    )


def _answered(item: WantedObject, answer: Callable[[WantedObject], _Json]) -> _Json:
    size = item.size if isinstance(item.size, int) else 0
    if item.fault is not None:
        fault = {"code": 422, "message": item.fault}
        return {"oid": str(item.oid), "size": size, "error": fault}
    return {"oid": item.oid, "size": size, **answer(item)}


def _size_error(size_bytes: int) -> _Json:
    return {"error": {"code": 422, "message": f"the object has {size_bytes} bytes"}}


def _lifetime() -> _Json:
    return {"expires_in": settings.UPLOAD_URL_LIFETIME_S}
