"""Addresses of the CAS, below `/cas/`; and those that clients expect at the root of the site."""

from django.urls import URLPattern, path, register_converter

from hub.xet import views


class HashConverter:
    """The string form of a hash."""

    regex = "[0-9a-f]{64}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class DedupPrefixConverter(HashConverter):
    """The specification says `default-merkledb`, clients say `default`."""

    regex = "default-merkledb|default"


register_converter(HashConverter, "xethash")
register_converter(DedupPrefixConverter, "dedupprefix")

urlpatterns = [
    path("", views.not_offered, name="cas-root"),
    path("v1/xorbs/default/<xethash:xorb_hash>", views.xorb, name="cas-xorb"),
    path("v1/shards", views.shards_v1, name="cas-shards"),
    path("v2/shards", views.shards_v2, name="cas-shards-v2"),
    path(
        "v1/reconstructions/<xethash:file_hash>", views.reconstruction_v1, name="cas-reconstruction"
    ),
    path(
        "v2/reconstructions/<xethash:file_hash>",
        views.reconstruction_v2,
        name="cas-reconstruction-v2",
    ),
    path("v1/files/<xethash:file_hash>", views.file_head, name="cas-file"),
    path(
        "v1/chunks/<dedupprefix:prefix>/<xethash:chunk_hash>", views.chunk_query, name="cas-chunk"
    ),
    path("v1/data/<xethash:xorb_hash>", views.data, name="cas-data"),
    path("v1/telemetry", views.telemetry, name="cas-telemetry"),
    path("<path:rest>", views.not_offered, name="cas-rest"),
]

_REPO = "api/<str:kind>/<name:namespace>/<name:name>"

hub_urlpatterns: list[URLPattern] = [
    path(f"{_REPO}/xet-read-token/<rev:revision>", views.read_token_route, name="xet-read-token"),
    path(
        f"{_REPO}/xet-write-token/<rev:revision>", views.write_token_route, name="xet-write-token"
    ),
    path("v1/telemetry", views.telemetry, name="telemetry"),
]
