"""WSGI entry point. Threads, not ASGI: Django's ASGI handler spools every upload to disk first."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
