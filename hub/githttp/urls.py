"""Addresses of git. It asks exactly the address it was given, so both forms must be there.

Source: Hub protocol, section 4.11.
"""

from collections.abc import Callable

from django.http.response import HttpResponseBase
from django.urls import URLPattern, re_path

from hub.githttp import views
from hub.portal.routes import repo_routes


def _routes(suffix: str, view: Callable[..., HttpResponseBase], name: str) -> list[URLPattern]:
    return [*repo_routes(f".git{suffix}", view, name), *repo_routes(suffix, view, name)]


urlpatterns: list[URLPattern] = [
    *_routes("/info/refs", views.info_refs, "git_info_refs"),
    *_routes("/git-upload-pack", views.upload_pack, "git_upload_pack"),
    *_routes("/git-receive-pack", views.receive_pack, "git_receive_pack"),
    *repo_routes(".git", views.to_page, "git_page"),
    re_path(
        r"^(?!api/)(?:(?:datasets|spaces)/)?[^/]+/[^/]+(?:\.git/.*|/HEAD|/objects/.+)$",
        views.no_plain_files,
        name="git_plain_files",
    ),
]
