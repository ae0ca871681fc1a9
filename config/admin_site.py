"""The maintainers' site: unfold's, behind the portal's own sign-in and a policy of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from unfold.sites import UnfoldAdminSite

_POLICY = {
    "script-src": [SELF, UNSAFE_INLINE, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
}
"""The admin's theme is written with inline handlers; only staff ever sees these pages."""


class MaintainerSite(UnfoldAdminSite):
    """Staff only; others are sent to the portal's throttled sign-in."""

    def admin_view(
        self, view: Callable[..., HttpResponseBase], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        protected = super().admin_view(view, cacheable)
        with_policy: Callable[..., HttpResponseBase] = csp_update(_POLICY)(protected)
        return with_policy

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        from allauth.account.decorators import secure_admin_login

        response: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return response


class AdminConfig(DjangoAdminConfig):
    default_site = "config.admin_site.MaintainerSite"
