"""Settings of the test suite: the site's own, with a throw-away data folder and cheap passwords."""

import atexit
import os
import shutil
import tempfile

if "MODELGUILD_DATA" not in os.environ:
    os.environ["MODELGUILD_DATA"] = tempfile.mkdtemp(prefix="modelguild-test-")
    atexit.register(shutil.rmtree, os.environ["MODELGUILD_DATA"], ignore_errors=True)

from config.settings import *  # noqa: F403  (the folder must be named before settings read it)
from config.settings import DATA_DIR, DATABASES

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: tests with two connections then meet the locks that users meet.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
CELERY_BROKER_URL = "memory://"
ALLOWED_HOSTS = ["*"]
WHITENOISE_AUTOREFRESH = True
