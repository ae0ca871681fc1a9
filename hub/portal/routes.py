"""Routes of pages that exist for each repository, of every type."""

from __future__ import annotations

from collections.abc import Callable

from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from hub.models import RepoType


def repo_routes(
    suffix: str, view: Callable[..., HttpResponseBase], url_name: str
) -> list[URLPattern]:
    """`/ns/name<suffix>` for models, below `/datasets` and `/spaces` for the others.

    The view is called with `repo_type`, `namespace`, `name` and what `suffix` captures; the routes
    of the others are called `dataset_<url_name>` and `space_<url_name>`.
    """
    return [
        path(
            f"{repo_type.address_prefix}<name:namespace>/<name:name>{suffix}",
            view,
            {"repo_type": repo_type.value},
            name=repo_type.route_prefix + url_name,
        )
        for repo_type in (RepoType.DATASET, RepoType.SPACE, RepoType.MODEL)
    ]
