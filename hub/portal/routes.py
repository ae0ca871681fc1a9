"""Routes of pages that exist for each repository, of either type."""

from __future__ import annotations

from collections.abc import Callable

from django.http.response import HttpResponseBase
from django.urls import URLPattern, path


def repo_routes(
    suffix: str, view: Callable[..., HttpResponseBase], url_name: str
) -> list[URLPattern]:
    """`/ns/name<suffix>` for models and `/datasets/ns/name<suffix>` for data sets.

    The view is called with `repo_type`, `namespace`, `name` and what `suffix` captures; the data
    set route is called `dataset_<url_name>`.
    """
    stem = "<name:namespace>/<name:name>" + suffix
    return [
        path("datasets/" + stem, view, {"repo_type": "dataset"}, name=f"dataset_{url_name}"),
        path(stem, view, {"repo_type": "model"}, name=url_name),
    ]
