"""The event stream of `POST /v2/shards`.

One JSON object a line; the last one decides. The status is sent before the check begins, so errors
travel as the last event.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Generator, Iterator
from typing import Any

from hub.errors import HubError, StorageFull, StorageUnavailable
from hub.storage import errors as storage_errors
from hub.xet.checking import Progress

EVENT_INTERVAL_S = 2.0

_log = logging.getLogger(__name__)


def shard_events(steps: Generator[Progress, None, bool]) -> Iterator[bytes]:
    """Run a registration, telling of it every few seconds, and end with its result or error."""
    yield _line(type="validating", verified=0, total=0)
    told_at = time.monotonic()
    try:
        while True:
            progress = next(steps)
            if time.monotonic() - told_at >= EVENT_INTERVAL_S:
                told_at = time.monotonic()
                yield _line(
                    type="validating",
                    verified=progress.verified_bytes,
                    total=progress.total_bytes,
                )
    except StopIteration as end:
        yield _line(type="result", result=int(end.value))
    except HubError as error:
        yield _line(type="error", message=error.message, retryable=error.status >= 500)
    except storage_errors.StorageFull:
        yield _line(type="error", message=StorageFull.message, retryable=False)
    except storage_errors.StorageError:
        _log.exception("a shard could not be checked")
        yield _line(type="error", message=StorageUnavailable.message, retryable=True)
    except Exception:  # noqa: BLE001  # the edge: unanswered, it would break the connection
        _log.exception("a shard could not be registered")
        message = "The server failed to register the files. Nothing was changed."
        yield _line(type="error", message=message, retryable=True)


def _line(**event: Any) -> bytes:  # Any: JSON values
    return json.dumps(event).encode() + b"\n"
