"""Settings of the test suite: the site's own, with a throw-away data folder and cheap passwords."""

import atexit
import os
import shutil
import tempfile

if "MODELGUILD_DATA" not in os.environ:
    os.environ["MODELGUILD_DATA"] = tempfile.mkdtemp(prefix="modelguild-test-")
    atexit.register(shutil.rmtree, os.environ["MODELGUILD_DATA"], ignore_errors=True)

from config.settings import *  # noqa: F403  (the folder must be named before settings read it)
from config.settings import CACHES, DATA_DIR, DATABASES, RATE_LIMITS, REDIS_URL

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: tests with two connections then meet the locks that users meet.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
if REDIS_URL:
    # A cache of each test process's own, counted down from the one named: tests clear it.
    _base, _, _first = REDIS_URL.rpartition("/")
    _number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    CACHES["default"]["LOCATION"] = f"{_base}/{int(_first) - int(_number)}"
# Ids return with each test, and their counts would last. Tests of limits set their own.
RATE_LIMITS.clear()
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
CELERY_BROKER_URL = "memory://"
ALLOWED_HOSTS = ["*"]
WHITENOISE_AUTOREFRESH = True
