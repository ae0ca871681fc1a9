"""Putting the parts of an upload together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection

from hub.actions.blobs import PartsReader, drop_parts, part_key, register_blob
from hub.errors import InvalidInput
from hub.lfs.transfer_urls import Transfer
from hub.site import store
from hub.storage import KeyMissing, receive

SLOW_BYTES = 2 * 1024**3
"""Above this size clients might lose patience before an answer begins."""
HEARTBEAT_S = 3.0


def check_parts(transfer: Transfer, data: bytes) -> None:
    """Compare what a client says it sent with what has arrived.

    Raises:
        InvalidInput: the body is not a completion, or a part is missing.
    """
    try:
        body = json.loads(data)
        numbers = sorted(int(part["partNumber"]) for part in body["parts"])
        oid = body["oid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidInput("The body must name the oid and its parts.") from None
    if oid != transfer.oid or numbers != list(range(1, transfer.part_count + 1)):
        raise InvalidInput(f"The upload has {transfer.part_count} parts; all must be named once.")
    missing = [number for number in numbers if not _has_arrived(transfer, number)]
    if missing:
        shown = ", ".join(map(str, missing[:10]))
        raise InvalidInput(f"Parts are missing or have the wrong size: {shown}")


def complete(transfer: Transfer) -> None:
    """Join the parts, verify the whole and register it; the parts are removed in any case.

    Raises:
        ReceiveError: the whole has another digest; nothing of it is kept.
        StorageFull, StorageUnavailable
    """
    keys = [part_key(transfer.upload_id, n) for n in range(1, transfer.part_count + 1)]
    received = receive(
        PartsReader(keys),
        staging_dir=Path(settings.STAGING_DIR),
        limit_bytes=transfer.size_bytes,
        expected_size=transfer.size_bytes,
        expected_sha256=transfer.oid,
    )
    try:
        register_blob(repo=transfer.repo, received=received)
    finally:
        received.path.unlink(missing_ok=True)
    drop_parts(transfer.upload_id, transfer.part_count)


def complete_slowly(transfer: Transfer) -> Iterator[bytes]:
    """`complete` on another thread, with a blank every few seconds to keep the client waiting.

    The status has been sent by then, so a failure is told in the body, and again by `verify`.
    """
    work = _Work(lambda: complete(transfer))
    work.start()
    while not work.done.wait(HEARTBEAT_S):
        yield b" "
    answer = {"message": str(work.error)} if work.error else {"oid": transfer.oid}
    yield json.dumps(answer).encode()


@dataclass
class _Work:
    """A call on a thread of its own, and how it ended."""

    call: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="lfs-completion", daemon=True).start()

    def _run(self) -> None:
        try:
            self.call()
        except Exception as error:  # noqa: BLE001  (handed to the waiting thread)
            self.error = error
        finally:
            connection.close()
            self.done.set()


def _has_arrived(transfer: Transfer, number: int) -> bool:
    try:
        size_bytes = store().size(part_key(transfer.upload_id, number))
    except KeyMissing:
        return False
    return size_bytes == transfer.size_of_part(number)
