"""A file of somebody's into what it logs, whichever program wrote it."""

from __future__ import annotations

import json
from typing import Any

from evaluation.imports import inspect_log, lm_eval
from evaluation.imports.told import Logged, LogUnreadable

MAX_LOG_BYTES = 32 << 20
ZIP = b"PK\x03\x04"


def read_log(raw: bytes) -> Logged:
    """What is in a results file of lm-eval, or a log of inspect-ai as JSON or `.eval`.

    Raises:
        LogUnreadable: for anything else, with the reason.
    """
    if len(raw) > MAX_LOG_BYTES:
        raise LogUnreadable(f"A log may have {MAX_LOG_BYTES >> 20} MiB; leave its samples out.")
    log = _object(inspect_log.header_of(raw) if raw.startswith(ZIP) else raw)
    if inspect_log.is_of_it(log):
        found = inspect_log.read(log)
    elif lm_eval.is_of_it(log):
        found = lm_eval.read(log)
    else:
        raise LogUnreadable("This is neither a results file of lm-eval nor a log of inspect-ai.")
    if not any(task.scores for task in found.tasks):
        raise LogUnreadable("There is no score in the log.")
    return found


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LogUnreadable("The file is not JSON.") from error
    if not isinstance(value, dict):
        raise LogUnreadable("The file is not a JSON object.")
    return value
