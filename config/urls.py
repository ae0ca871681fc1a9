"""Every address of the site. Order matters: repository pages come last, as they match any name."""

from django.contrib import admin
from django.urls import include, path, register_converter

from config.health import healthz
from hub.converters import FilePathConverter, NameConverter, RevisionConverter

register_converter(NameConverter, "name")
register_converter(RevisionConverter, "rev")
register_converter(FilePathConverter, "filepath")

from hub.xet.urls import hub_urlpatterns as xet_token_urls  # noqa: E402  (needs the converters)

handler400 = "config.error_pages.bad_request"
handler403 = "config.error_pages.permission_denied"
handler404 = "config.error_pages.not_found"
handler429 = "config.error_pages.too_many_tries"  # asked by django-allauth
handler500 = "config.error_pages.server_error"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("cas/", include("hub.xet.urls")),
    path(".well-known/", include("evaluation.api.well_known_urls")),
    path("api/v1/", include("evaluation.api.urls")),
    path("api/v1/", include("contributions.api.urls")),
    path("", include("hub.viewer.api.urls")),
    path("", include(xet_token_urls)),
    path("", include("hub.lfs.urls")),
    path("", include("hub.githttp.urls")),
    path("", include("hub.resolve.urls")),
    path("", include("contributions.hfapi.urls")),
    path("", include("evaluation.hfapi.urls")),
    path("", include("contributions.hfapi.webhook_urls")),
    path("", include("hub.hfapi.urls")),
    path("", include("hub.viewer.portal.urls")),
    path("", include("contributions.portal.urls")),
    path("", include("contributions.portal.webhook_urls")),
    path("", include("evaluation.portal.urls")),
    path("", include("hub.portal.urls")),
]
