"""Addresses of LFS. git-lfs adds `.git/info/lfs` to the remote; some remotes end in `.git` already.

Source: Hub protocol, sections 4.7 and 4.11.
"""

from django.urls import URLPattern, register_converter

from hub.lfs import views
from hub.lfs.views import View
from hub.portal.routes import repo_routes


class OidConverter:
    """A SHA-256."""

    regex = "[0-9a-f]{64}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(OidConverter, "oid")


def _routes(suffix: str, view: View, url_name: str) -> list[URLPattern]:
    return repo_routes(f".git/info/lfs/{suffix}", view, url_name)


urlpatterns: list[URLPattern] = [
    *_routes("objects/batch", views.batch, "lfs_batch"),
    *_routes("verify", views.verify, "lfs_verify"),
    *_routes("objects/<oid:oid>", views.lfs_object, "lfs_object"),
    *_routes("objects/<oid:oid>/parts/<int:number>", views.part, "lfs_part"),
    *_routes("objects/<oid:oid>/complete", views.complete_upload, "lfs_complete"),
    *_routes("locks", views.no_locks, "lfs_locks"),
    *_routes("locks/<path:rest>", views.no_locks, "lfs_locks_below"),
]
