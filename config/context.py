"""What every template may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from hub.site import base_url


def site(request: HttpRequest) -> dict[str, Any]:
    return {
        "site_name": settings.SITE_NAME,
        "site_url": base_url(request),
        "has_github_login": "github" in settings.SOCIALACCOUNT_PROVIDERS,
    }
