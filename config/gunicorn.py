"""gunicorn's settings: `gunicorn -c config/gunicorn.py config.wsgi`.

Threads rather than asynchronous workers: a request that moves bytes holds a thread, and hashing,
compression and `sendfile` all release the interpreter lock.
"""

import ctypes
import os
import sys

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "16"))
worker_class = "gthread"
preload_app = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108
control_socket_disable = True

timeout = 120
"""Seconds without a sign of life from the worker's main thread; a long upload is no silence."""
graceful_timeout = int(os.environ.get("WEB_GRACE_S", "8"))
keepalive = 75
# `sendfile` is on unless it is named here: gunicorn takes any value of that setting for "off".
limit_request_line = 8190

forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
accesslog = "-"
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(L)ss %({x-request-id}o)s'
"""The path without its query: signed addresses carry secrets there."""
errorlog = "-"
proc_name = "modelguild-web"


def on_starting(server: object) -> None:
    """Let the C library keep the memory that it frees: see `_keep_freed_memory`."""
    if sys.platform == "linux":
        _keep_freed_memory(ctypes.CDLL(None))


def _keep_freed_memory(libc: ctypes.CDLL) -> None:
    """Hand freed blocks out again rather than back to the system, and share them among threads.

    A body is read through several blocks of a MiB. Fetched anew from the system each time, they
    cost an upload as much time in page faults as its checks take; in an arena a thread, they would
    be kept sixteen times.

    Source: mallopt(3), whose numbers these are. A C library without it keeps its own ways.
    """
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is not None:
        arena_max, mmap_threshold, trim_threshold = -8, -3, -1
        mallopt(arena_max, 2)
        mallopt(mmap_threshold, 8 * 1024**2)
        mallopt(trim_threshold, 16 * 1024**2)
