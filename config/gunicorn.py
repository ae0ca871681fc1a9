"""gunicorn's settings: `gunicorn -c config/gunicorn.py config.wsgi`.

Threads rather than asynchronous workers: a request that moves bytes holds a thread, and hashing,
compression and `sendfile` all release the interpreter lock.
"""

import os

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
