"""S19: the leaderboard of a data set as Hub clients read it.

Source: Hub protocol, section 7. The protocol knows one leaderboard a data set: ours is that of the
first task of `eval.yaml`, or of the one named by `task_id`.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse

from evaluation.access import get_benchmark_for_read
from evaluation.claims import Claimed, claims_on, file_url
from evaluation.errors import BenchmarkNotFound
from evaluation.metrics import info_of
from evaluation.models import Benchmark, BenchmarkVersion, LeaderboardEntry
from evaluation.queries import Standing, standings
from hub.access import get_repo_for_read
from hub.hfapi.base import HubView, is_true
from hub.hfapi.people import namespace_row
from hub.model_tree import base_names
from hub.models import Repo, RepoType
from hub.site import base_url

MAX_ROWS = 1000


class Leaderboard(HubView):
    """`GET /api/datasets/{namespace}/{name}/leaderboard`."""

    def get(self, request: HttpRequest, namespace: str, name: str) -> JsonResponse:
        dataset = get_repo_for_read(self.actor, RepoType.DATASET, namespace, name)
        version = _version(self, dataset, request.GET.get("task_id", ""))
        only_roots = is_true(request.GET.get("base_model", "true"))
        site = base_url(request)
        rows = [
            *_measured(standings(self.actor, version)[:MAX_ROWS], site),
            *_claimed(claims_on(self.actor, version), version, site),
        ]
        if only_roots:
            rows = [row for row in rows if not row.pop("hasBase")]
        return JsonResponse(_ranked(rows, version), safe=False)


def _version(view: HubView, dataset: Repo, task_id: str) -> BenchmarkVersion:
    if not task_id:
        first = Benchmark.objects.active().filter(dataset=dataset).order_by("pk").first()
        if first is None:
            raise BenchmarkNotFound
        task_id = first.task_id
    space, name = dataset.full_name.split("/")
    benchmark = get_benchmark_for_read(view.actor, space, name, task_id)
    assert benchmark.current is not None
    return benchmark.current


def _measured(ranked: list[Standing], site: str) -> list[dict[str, Any]]:
    """Models measured here: verified, with the run's record as their source."""
    entries = LeaderboardEntry.objects.select_related(
        "model_repo__namespace__user", "model_repo__namespace__organization"
    ).in_bulk([standing.entry_id for standing in ranked])
    rows = []
    for standing in ranked:
        entry = entries.get(standing.entry_id)
        if entry is not None and standing.value is not None:
            if entry.model_repo is None:
                continue
            row = _row(entry.model_repo, standing.value, site)
            source = {"url": f"{site}/runs/{standing.run_id}", "name": "run", "isExternal": False}
            rows.append({**row, "filename": "", "verified": True, "source": source})
    return rows


def _claimed(claims: list[Claimed], version: BenchmarkVersion, site: str) -> list[dict[str, Any]]:
    rows = []
    for claimed in claims:
        if claimed.metric != version.main_metric:
            continue
        claim = claimed.claim
        url = claim.source.get("url")
        source = {"url": url or site + file_url(claim), "isExternal": bool(url)}
        if name := claim.source.get("name"):
            source["name"] = name
        row = _row(claimed.model, claimed.value, site)
        row |= {"filename": claim.filename, "verified": False, "source": source}
        if claim.pull_request is not None:
            row["pullRequest"] = claim.pull_request
        rows.append({**row, "notes": claim.notes} if claim.notes else row)
    return rows


def _row(model: Repo, value: float, site: str) -> dict[str, Any]:
    author = namespace_row(model.namespace, base_url=site)
    return {
        "modelId": model.full_name,
        "value": value,
        "author": {**author, "name": model.namespace.name},
        "hasBase": bool(base_names(model)),
    }


def _ranked(rows: list[dict[str, Any]], version: BenchmarkVersion) -> list[dict[str, Any]]:
    """In the order of their values; the verified of two equal ones first."""
    sign = -1 if info_of(version.main_metric).direction == "higher" else 1
    rows.sort(key=lambda row: (sign * row["value"], not row["verified"], row["modelId"]))
    for rank, row in enumerate(rows, start=1):
        row.pop("hasBase", None)
        row["rank"] = rank
    return rows
