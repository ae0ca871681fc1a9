"""What evaluation adds to the pages of a repository and to the home page."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from evaluation.claims import claims_made_by
from evaluation.lists import benchmark_list
from evaluation.messages import explain_problem
from evaluation.metrics import info_of
from evaluation.models import Benchmark, BenchmarkFile, LeaderboardEntry, Run, RunKind, RunState
from evaluation.portal.boards import axis_of
from evaluation.portal.imports import logs_of
from evaluation.queries import board_rows, standings
from hub.access import Level
from hub.auth import Actor, actor_of
from hub.models import Repo, RepoType
from hub.portal.panels import HomePanel, register_home_panel
from hub.portal.repo_buttons import RepoButton, register_repo_button
from hub.portal.repo_page import open_page
from hub.portal.search_kinds import Hit, SearchKind, register_search_kind
from hub.portal.tabs import Tab, register_tab

RUNS_SHOWN = 50
HOME_BENCHMARKS = 4


def register() -> None:
    """Adds the tabs, the button and the home panel; called when the application starts."""
    register_tab(
        Tab(
            "evaluations",
            _("Evaluations"),
            "bar-chart",
            "evaluations",
            40,
            frozenset({RepoType.MODEL}),
            count=_count_of_model,
        )
    )
    register_tab(
        Tab(
            "benchmark",
            _("Benchmark"),
            "list-ol",
            "benchmark",
            40,
            frozenset({RepoType.DATASET}),
            count=_count_of_dataset,
        )
    )
    register_repo_button(
        RepoButton(
            "finetune",
            _("Fine-tune"),
            "graph-up",
            "finetune",
            10,
            frozenset({RepoType.MODEL, RepoType.DATASET}),
        )
    )
    register_repo_button(
        RepoButton(
            "convert",
            _("Convert"),
            "arrow-left-right",
            "convert",
            20,
            frozenset({RepoType.MODEL}),
        )
    )
    register_home_panel(
        HomePanel("benchmarks", "evaluation/components/home_panel.html", 20, _home_panel)
    )
    register_search_kind(SearchKind("benchmarks", _("Benchmarks"), "bar-chart", _find_benchmarks))


def _find_benchmarks(request: HttpRequest, query: str, limit: int) -> list[Hit]:
    found = benchmark_list(actor_of(request), search=query, limit=limit)
    return [Hit(each.url_path, each.name, each.task_title) for each in found]


@require_GET
def evaluations(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, RepoType.MODEL, namespace, name)
    runs = (
        Run.objects.visible_to(page.actor)
        .filter(model_repo=page.repo)
        .for_list()
        .order_by("-queued_at")[:RUNS_SHOWN]
    )
    context: dict[str, Any] = {
        "runs": list(runs),
        "standings": _standings(page.actor, page.repo),
        "claims": claims_made_by(page.actor, page.repo),
        "logs": logs_of(page.actor, page.repo),
    }
    return page.render("evaluation/evaluations_tab.html", "evaluations", context)


@require_GET
def benchmark(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, RepoType.DATASET, namespace, name)
    note = BenchmarkFile.objects.filter(dataset=page.repo).first()
    is_keeper = page.level >= Level.WRITE
    context = {
        "benchmarks": [b for b in _of_dataset(page.repo) if b.current],
        "note": note,
        "problems": _problems(note) if is_keeper else [],
        "is_keeper": is_keeper,
        "head_sha": page.repo.head_sha,
    }
    return page.render("evaluation/benchmark_tab.html", "benchmark", context)


def _problems(note: BenchmarkFile | None) -> list[dict[str, str]]:
    return [
        {"where": problem["where"], "text": explain_problem(problem)}
        for problem in (note.problems if note else [])
    ]


def _standings(actor: Actor, model: Repo) -> list[dict[str, Any]]:
    """Where the model stands on each current board that the caller may see."""
    entries = LeaderboardEntry.objects.filter(
        model_repo=model,
        benchmark_version__benchmark__is_active=True,
        benchmark_version__benchmark__current_id=F("benchmark_version_id"),
        benchmark_version__benchmark__dataset__in=actor.visible_repos(),
    ).select_related("benchmark_version__benchmark__dataset__namespace")
    found = []
    for entry in entries[:20]:
        version = entry.benchmark_version
        ranked = standings(actor, version)
        mine = [standing for standing in ranked if standing.entry_id == entry.pk]
        for row in board_rows(version, mine):
            axis = axis_of(ranked, info_of(version.main_metric).direction)
            found.append({"version": version, "row": row, "axis": axis, "n": len(ranked)})
    return found


def _of_dataset(dataset: Repo) -> list[Benchmark]:
    found = dataset.benchmarks.select_related("current", "dataset__namespace")
    return list(found.order_by("-is_active", "name"))


def _count_of_model(request: HttpRequest, repo: Repo) -> int | None:
    runs = Run.objects.visible_to(actor_of(request)).filter(model_repo=repo)
    return runs.filter(kind=RunKind.EVALUATE, state=RunState.FINISHED).count() or None


def _count_of_dataset(request: HttpRequest, repo: Repo) -> int | None:
    return repo.benchmarks.active().count() or None


def _home_panel(request: HttpRequest) -> dict[str, Any] | None:
    """Some benchmarks, and the newest results."""
    actor = actor_of(request)
    found = benchmark_list(actor)[:HOME_BENCHMARKS]
    if not found:
        return None
    newest = (
        Run.objects.visible_to(actor)
        .filter(kind=RunKind.EVALUATE, state=RunState.FINISHED)
        .for_list()
        .order_by("-finished_at")[:5]
    )
    return {"benchmarks": found, "runs": list(newest)}
