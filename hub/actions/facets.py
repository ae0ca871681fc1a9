"""Counting the values of facets where there are too many repositories to count for each page."""

from __future__ import annotations

from django.core.cache import cache
from django.db import transaction

from hub.facets import LARGE_SITE, Facets, count_facets
from hub.models import FacetCount, Repo, RepoType


def refresh_facets() -> None:
    """Counts anew; for a type of which there are few, pages count themselves."""
    for repo_type in RepoType.values:
        public = Repo.objects.filter(repo_type=repo_type, is_private=False)
        is_large = public.order_by()[LARGE_SITE:].exists()
        _store(repo_type, count_facets(repo_type) if is_large else {})


def _store(repo_type: str, facets: Facets) -> None:
    rows = [
        FacetCount(repo_type=repo_type, facet=facet, value=value, count=count)
        for facet, values in facets.items()
        for value, count in values
    ]
    with transaction.atomic():
        FacetCount.objects.filter(repo_type=repo_type).delete()
        FacetCount.objects.bulk_create(rows)
    cache.delete(f"facets:{repo_type}")
