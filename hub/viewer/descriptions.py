"""A data set's Croissant description, from its card, its files and the columns found in them."""

from __future__ import annotations

from typing import Any

from hub.errors import HubError
from hub.viewer.croissant import About, describe
from hub.viewer.queries import DataSet

MAX_CONFIGS_READ = 20
"""Configs whose columns are looked up; further ones are named without."""


def croissant_of(data: DataSet, base_url: str) -> dict[str, Any]:
    """The JSON-LD document. A config that cannot be read is described without its columns."""
    repo = data.repo
    licenses = repo.card_data.get("license")
    about = About(
        name=repo.full_name,
        description=repo.description,
        license=licenses if isinstance(licenses, str) else "",
        keywords=[str(tag) for tag in repo.tags],
        creator=repo.namespace.name,
        creator_url=f"{base_url}/{repo.namespace.name}",
        url=base_url + repo.url_path,
        commit_sha=data.commit_sha,
        published=repo.created_at.date().isoformat(),
    )
    document: dict[str, Any] = describe(about, data.configs, _columns(data))
    return document


def _columns(data: DataSet) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for config in data.configs[:MAX_CONFIGS_READ]:
        try:
            rows = data.part(config.name, config.splits[0].name).rows()
        except HubError:
            continue
        found[config.name] = {each["name"]: each["type"] for each in rows["features"]}
    return found
