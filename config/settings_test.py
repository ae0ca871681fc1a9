"""Settings of the test suite: the site's own, with a throw-away data folder and cheap passwords."""

import os
import tempfile

os.environ.setdefault("MODELGUILD_DATA", tempfile.mkdtemp(prefix="modelguild-test-"))

from config.settings import *  # noqa: E402, F403  (the folder must be named before settings read it)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
CELERY_BROKER_URL = "memory://"
ALLOWED_HOSTS = ["*"]
WHITENOISE_AUTOREFRESH = True
