"""Settings of the site, read top to bottom; what varies comes from the environment (config/env.py).

The defaults are those of one machine: SQLite, a local folder, an embedded Valkey started by
`manage.py up`. `DATABASE_URL`, `REDIS_URL` and `STORAGE_URL` switch to the production set.
"""

import base64
import os
from email.utils import parseaddr
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.accent import ACCENT
from config.embedded_valkey import running_url
from config.env import env, rate, secret, sizes

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("MODELGUILD_DATA", default=str(BASE_DIR / "data"))).resolve()
SECRETS_DIR = DATA_DIR / "secrets"
GIT_ROOT = DATA_DIR / "git"
STAGING_DIR = DATA_DIR / "tmp"
"""Uploads are received here and renamed into the store once their digest is verified."""

# --- Who we are on the network ---------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = secret("SECRET_KEY", directory=SECRETS_DIR)
PORT = env.int("PORT", default=8000)
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
"""Base of every absolute URL we send. Empty: the host each request came to (one machine only)."""
HUB_URL = env.str("HUB_URL", default=PUBLIC_URL or f"http://127.0.0.1:{PORT}").rstrip("/")
"""Where workers reach the hub."""
IS_HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
if PUBLIC_URL:
    host = PUBLIC_URL.split("//", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, host]
    CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SITE_NAME = env.str("SITE_NAME", default="ModelGuild")

# --- Applications ----------------------------------------------------------------------------

INSTALLED_APPS = [
    "config",
    "hub",
    "contributions",
    "evaluation",
    "unfold.apps.BasicAppConfig",
    "config.admin_site.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "config.middleware.RequestIdMiddleware",
    "config.middleware.QuotedSlashMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.CompressedPagesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.DomainErrorMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.site",
            ],
        },
    },
]

# --- Database, cache, broker, store ----------------------------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
# A thread keeps its connection: to open one takes longer than most requests.
DATABASES["default"]["CONN_MAX_AGE"] = 60
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 60,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-4000;"
            " PRAGMA temp_store=MEMORY; PRAGMA mmap_size=268435456;"
        ),
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # Our statements are short; compiling one takes longer than running it.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", "-c jit=off")
ATOMIC_REQUESTS = False

REDIS_URL = env.str("REDIS_URL", default="") or running_url(DATA_DIR)
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "modelguild",
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600}
CELERY_TASK_DEFAULT_QUEUE = "hub"
CELERY_TASK_ROUTES = {
    "contributions.*": {"queue": "hub"},
    "evaluation.tasks.execute_run": {"queue": "evaluate"},
    "evaluation.*": {"queue": "hub"},
    "hub.*": {"queue": "hub"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "sweep-runs": {"task": "evaluation.tasks.sweep_runs", "schedule": 10.0},
    "watch-queue": {"task": "evaluation.tasks.watch_queue", "schedule": 30.0},
    "sweep-scans": {"task": "hub.tasks.sweep_scans", "schedule": 60.0},
    "sweep-benchmarks": {"task": "evaluation.tasks.sweep_benchmarks", "schedule": 300.0},
    "record-downloads": {"task": "hub.tasks.record_downloads", "schedule": 60.0},
    "refresh-download-windows": {
        "task": "hub.tasks.refresh_download_windows",
        "schedule": 86_400.0,
    },
    "refresh-trending": {"task": "hub.tasks.refresh_trending", "schedule": 900.0},
    "refresh-facets": {"task": "hub.tasks.refresh_facets", "schedule": 900.0},
    "sweep-search": {"task": "hub.tasks.sweep_search", "schedule": 60.0},
    "finish-writes": {"task": "hub.tasks.finish_writes", "schedule": 60.0},
    "sweep-uploads": {"task": "hub.tasks.sweep_uploads", "schedule": 3600.0},
    "sweep-devices": {"task": "hub.tasks.sweep_devices", "schedule": 3600.0},
    "measure-new-repos": {"task": "hub.tasks.measure_new_repos", "schedule": 600.0},
    "sweep-repacks": {"task": "hub.tasks.sweep_repacks", "schedule": 900.0},
    "sweep-conversions": {"task": "hub.tasks.sweep_conversions", "schedule": 600.0},
    "scrub-storage": {"task": "hub.tasks.scrub_storage", "schedule": 3600.0},
    "collect-attachments": {
        "task": "contributions.tasks.collect_attachments",
        "schedule": 86_400.0,
    },
    "collect-garbage": {"task": "hub.tasks.collect_garbage", "schedule": 86_400.0},
    "sweep-deliveries": {"task": "contributions.webhooks.tasks.sweep_deliveries", "schedule": 30.0},
    "prune-deliveries": {
        "task": "contributions.webhooks.tasks.prune_deliveries",
        "schedule": 86_400.0,
    },
}

STORAGE_URL = env.str("STORAGE_URL", default=f"file://{DATA_DIR / 'store'}")
SIGNED_DOWNLOADS = env.bool("SIGNED_DOWNLOADS", default=False)
"""Redirect downloads to signed URLs of the store, where the store can sign."""
ACCEL_REDIRECT_PREFIX = env.str("ACCEL_REDIRECT_PREFIX", default="")
"""Internal nginx location that serves the local store, such as `/_store`; empty: we send bytes."""

CONVERT_LFS = env.bool("CONVERT_LFS", default=True)
"""Make chunks from large files that came as one piece, in the background."""
CONVERT_MIN_BYTES = env.int("CONVERT_MIN_BYTES", default=1024**2)
DROP_PLAIN_COPIES = env.bool("DROP_PLAIN_COPIES", default=not SIGNED_DOWNLOADS)
"""Delete plain copies of what is stored as chunks. A bucket can only hand out plain copies."""
PLAIN_COPY_DAYS = env.int("PLAIN_COPY_DAYS", default=30)
"""From the last plain download to the end of the plain copy, which the first one makes; 0: none."""
COLLECT_STORAGE = env.bool("COLLECT_STORAGE", default=False)
"""Delete once a day what nothing names any more; else only `manage.py storage collect --apply`."""
COLLECTION_GRACE_DAYS = env.int("COLLECTION_GRACE_DAYS", default=28)
"""From the mark to the deletion. Clients remember for 21 days what the store has."""
SCRUB_OBJECTS_PER_HOUR = env.int("SCRUB_OBJECTS_PER_HOUR", default=32)
"""Stored objects that are verified again each hour, those first that waited longest."""

# --- Limits ----------------------------------------------------------------------------------

QUOTA_BYTES = env.int("QUOTA_BYTES", default=0)
"""What the repositories of one user or organisation may hold together; 0 for no limit."""
MAX_REGULAR_FILE_BYTES = env.int("MAX_REGULAR_FILE_BYTES", default=10 * 1024**2)
MAX_LFS_FILE_BYTES = env.int("MAX_LFS_FILE_BYTES", default=500 * 1024**3)
MAX_COMMIT_BYTES = env.int("MAX_COMMIT_BYTES", default=512 * 1024**2)
LFS_PART_BYTES = env.int("LFS_PART_BYTES", default=64 * 1024**2)
LFS_SINGLE_PUT_BYTES = env.int("LFS_SINGLE_PUT_BYTES", default=1024**3)
"""Files up to this size are sent by LFS in one request, which is faster than in parts."""
MAX_PUSH_BYTES = env.int("MAX_PUSH_BYTES", default=2 * 1024**3)
"""Size of the pack of one `git push`; large files travel by LFS and do not count."""
MAX_PUSH_OBJECTS = env.int("MAX_PUSH_OBJECTS", default=500_000)
MAX_PUSH_REFS = env.int("MAX_PUSH_REFS", default=1000)
GIT_TIME_LIMIT_S = env.int("GIT_TIME_LIMIT_S", default=3600)
GIT_REPACK_LIMIT_S = env.int("GIT_REPACK_LIMIT_S", default=1800)
"""For how long git may take to join the objects of one repository."""
GIT_MEMORY_LIMIT_BYTES = env.int("GIT_MEMORY_LIMIT_BYTES", default=2 * 1024**3)
"""What one git process that serves a clone or a push may use, and for how long."""
MAX_SCAN_FILE_BYTES = env.int("MAX_SCAN_FILE_BYTES", default=8 * 1024**3)
XET_TOKEN_LIFETIME_S = 3600
UPLOAD_URL_LIFETIME_S = 24 * 3600
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

MAX_FORM_FILE_BYTES = env.int("MAX_FORM_FILE_BYTES", default=64 * 1024**2)
"""What a form of a page may send; those that take files are small."""
FILE_UPLOAD_HANDLERS = ["hub.form_files.BoundedFiles"]
MAX_ATTACHMENT_BYTES = env.int("MAX_ATTACHMENT_BYTES", default=10 * 1024**2)
MAX_VIDEO_ATTACHMENT_BYTES = env.int("MAX_VIDEO_ATTACHMENT_BYTES", default=50 * 1024**2)
ATTACHMENT_QUOTA_BYTES = env.int("ATTACHMENT_QUOTA_BYTES", default=1024**3)
"""What the files of one user for comments may have together; 0 for no limit."""
ATTACHMENT_GRACE_DAYS = env.int("ATTACHMENT_GRACE_DAYS", default=7)
"""How long a file for comments may wait for a comment; and once hidden, for its deletion."""

RATE_LIMITS = {
    name: rate(f"RATE_{name.upper()}", default=default)
    for name, default in {
        "signup": "20/h",
        "login_code": "30/h",
        "login_poll": "60/m",
        "login_try": "60/h",
        "token": "30/h",
        "discussion": "30/h",
        "comment": "200/h",
        "attachment": "100/h",
        "dry_run": "120/h",
    }.items()
}
"""What one user, or one address where nobody is signed in, may do within a time; `0`: no limit.

signup: tries to sign up. login_code: logins of a machine that are begun. login_poll: questions
whether such a login was allowed. login_try: codes of machines that are looked up on the page.
token: access tokens made. discussion: also pull requests. attachment: files for comments.
dry_run: submissions that are only checked.
"""
TRUSTED_PROXIES = env.int(
    "TRUSTED_PROXIES", default=1 if env.bool("BEHIND_PROXY", default=False) else 0
)
"""How many proxies of ours a request passes; each adds to `X-Forwarded-For` who called it."""

DEVICE_CODE_LIFETIME_S = env.int("DEVICE_CODE_LIFETIME_S", default=900)
"""How long a machine waits for its user to allow it (`hf auth login`)."""
DEVICE_TOKEN_DAYS = env.int("DEVICE_TOKEN_DAYS", default=30)
"""Life of the token such a machine gets; it fetches the next one by itself."""
DEVICE_LOGIN_DAYS = env.int("DEVICE_LOGIN_DAYS", default=180)
"""After so many days in which a machine fetched none, its user has to allow it again."""

# --- Accounts --------------------------------------------------------------------------------

AUTH_USER_MODEL = "hub.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "hub.portal.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = env.str("ACCOUNT_EMAIL_VERIFICATION", default="optional")
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key", "signup": None}
"""Those of sign-in, which count what only allauth sees; sign-up is in RATE_LIMITS."""
SOCIALACCOUNT_AUTO_SIGNUP = False  # everyone sees and may change the name they get
SOCIALACCOUNT_PROVIDERS = {}
if env.str("GITHUB_CLIENT_ID", default=""):
    SOCIALACCOUNT_PROVIDERS["github"] = {
        "APPS": [
            {
                "client_id": env.str("GITHUB_CLIENT_ID"),
                "secret": env.str("GITHUB_CLIENT_SECRET"),
            }
        ],
        "SCOPE": ["read:user", "user:email"],
    }
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
ADMINS = [parseaddr(text) for text in env.list("ADMINS", default=[])]
"""Who is written to when something is wrong, such as `Ada <ada@example.org>`, parted by commas;
empty: the maintainers."""
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"{SITE_NAME} <noreply@localhost>")

# --- Safety ----------------------------------------------------------------------------------

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = IS_HTTPS and env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        # A browser follows the redirect after a form only to where this allows.
        "form-action": [SELF, "https://github.com"] if SOCIALACCOUNT_PROVIDERS else [SELF],
        "frame-ancestors": [NONE],
    },
}

# --- Words and static files ------------------------------------------------------------------

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", _("English")), ("zh-hans", _("简体中文"))]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- REST ------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "hub.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.errors.drf_exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ModelGuild API",
    "DESCRIPTION": "Benchmarks, runs and leaderboards. Repositories speak the Hub protocol.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

UNFOLD = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_SUBHEADER": _("Maintainer dashboard"),
    "SITE_SYMBOL": "hub",
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "config.dashboard.dashboard",
    "COLORS": {"primary": ACCENT},
}

# --- Evaluation ------------------------------------------------------------------------------

RUN_LEASE_S = env.int("RUN_LEASE_S", default=60)
RUN_WALL_LIMIT_S = env.int("RUN_WALL_LIMIT_S", default=3600)
RUN_MEMORY_LIMIT_BYTES = env.int("RUN_MEMORY_LIMIT_BYTES", default=8 * 1024**3)
RUN_MAX_ATTEMPTS = 3
RUN_DAILY_LIMIT = env.int("RUN_DAILY_LIMIT", default=500)
MAX_PREDICTIONS_BYTES = env.int("MAX_PREDICTIONS_BYTES", default=64 * 1024**2)
"""What a file of predictions may have."""
"""Runs that one user may start within 24 hours; 0 for no limit. Our faults do not count."""
FINETUNE_WALL_LIMIT_S = env.int("FINETUNE_WALL_LIMIT_S", default=3600)
FINETUNE_MAX_PARAMETERS = env.int("FINETUNE_MAX_PARAMETERS", default=500_000_000)
FINETUNE_OUTPUT_LIMIT_BYTES = env.int("FINETUNE_OUTPUT_LIMIT_BYTES", default=24 * 1024**3)
"""What a training may write: its checkpoints and its model."""
RUN_CHECKPOINT_DAYS = env.int("RUN_CHECKPOINT_DAYS", default=7)
"""How long one may go on with a training that was stopped or has failed."""
RUN_POOLS = sizes("RUN_POOLS", default={"cpu": RUN_MEMORY_LIMIT_BYTES})
"""Pools that runs wait in, and the memory that a job gets there, such as `cpu=8G,gpu=64G`; the one
for ordinary runs first. Those whose name begins with `gpu` take heavy work."""
RUN_POOL = next(iter(RUN_POOLS))
WORKER_POOLS = env.list("WORKER_POOLS", default=[RUN_POOL])
"""Pools from which a worker of this installation takes runs."""
ALLOW_UNCAGED_RUNS = env.bool("ALLOW_UNCAGED_RUNS", default=False)
RUN_THREADS = env.int("RUN_THREADS", default=max(1, min(4, os.cpu_count() or 1)))
"""Processor threads of one job."""
ALERT_QUEUE_MINUTES = env.int("ALERT_QUEUE_MINUTES", default=30)
"""A run that waits longer is told to the operator."""
ALERT_DISK_FREE_BYTES = env.int("ALERT_DISK_FREE_BYTES", default=2 * 1024**3)
"""So is a disk of the site or of a worker with less room left."""
WARM_JOBS = env.bool("WARM_JOBS", default=True)
"""Keep one child with its imports done ready for the next run, at about 300 MB of memory."""
WORKER_DIR = Path(env.str("WORKER_DIR", default=str(DATA_DIR / "worker"))).resolve()
"""Working folders of jobs and the worker's own Hub cache."""
WORKER_CACHE_LIMIT_BYTES = env.int("WORKER_CACHE_LIMIT_BYTES", default=50 * 1024**3)
INSTANCE_KEY = secret(
    "INSTANCE_KEY",
    directory=SECRETS_DIR,
    generate=lambda: base64.b64encode(os.urandom(32)).decode(),
)
"""Ed25519 private key in base64 that signs records; `manage.py rotate_key` makes a new one."""
IMAGE_DIGEST = env.str("IMAGE_DIGEST", default="")
"""Of the container image that a worker runs in, for records; empty where there is none."""

# --- Webhooks --------------------------------------------------------------------------------

WEBHOOK_ALLOW_PRIVATE_HOSTS = env.list("WEBHOOK_ALLOW_PRIVATE_HOSTS", default=[])
"""Networks (`10.1.0.0/16`) and host names (`ci.internal`) beyond the public internet that webhooks
may be sent to. Their owners see the first bytes of each answer."""
WEBHOOK_TIMEOUT_S = env.int("WEBHOOK_TIMEOUT_S", default=10)
"""For one try: connecting, sending and the whole answer."""
WEBHOOK_DAILY_LIMIT = env.int("WEBHOOK_DAILY_LIMIT", default=1000)
"""What one webhook is sent within 24 hours; the rest is left out."""
WEBHOOK_DELIVERY_DAYS = env.int("WEBHOOK_DELIVERY_DAYS", default=30)
"""For how long deliveries are kept to look at and to send again."""

# --- Logs ------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "config.logs.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        },
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handler would send each trace by e-mail to ADMINS.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # A 404 is how clients learn what is not there; the access log has every status.
        "django.request": {"level": "ERROR"},
    },
}

if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
    raise ImproperlyConfigured(f"LOG_LEVEL {LOG_LEVEL!r} is not a level.")
for directory in (DATA_DIR, GIT_ROOT, STAGING_DIR, STATIC_ROOT):
    directory.mkdir(parents=True, exist_ok=True)
