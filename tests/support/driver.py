"""Runs snippets inside a live site's Django, one JSON line in, one JSON line out.

`LiveSite.execute` speaks to it; it spares a test the seconds that a new process would take.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        names: dict[str, object] = {}
        try:
            exec(json.loads(line), names)
            reply = {"result": names.get("result")}
        except Exception:  # noqa: BLE001  (the test sees the trace)
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply, default=str) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
