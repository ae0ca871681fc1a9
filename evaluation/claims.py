"""What models claim on a benchmark, set against its metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from django.db.models import F, Q, QuerySet

from evaluation.metrics import MetricInfo, info_of
from evaluation.models import Benchmark, BenchmarkVersion, Claim
from hub.access import repos_open_to
from hub.auth import Actor
from hub.models import Repo, RepoType

CLAIMS_SHOWN = 200
DATA_SETS_NAMED = 20


@dataclass(frozen=True)
class Claimed:
    """A model's claim for one metric of a benchmark, in the metric's own unit."""

    claim: Claim
    metric: str
    value: float

    @property
    def model(self) -> Repo:
        return self.claim.model_repo


def claims_on(actor: Actor, version: BenchmarkVersion) -> list[Claimed]:
    """The claims that `actor` sees of models which this site has not measured there.

    Of several claims of one model for one metric the last one written counts, its own before one
    of a pull request. A claim whose task, config, split or metric is another's is left out, and so
    is a value that the metric cannot have.
    """
    measured = version.entries.filter(model_repo__isnull=False).values("model_repo_id")
    rows = claims_shown(actor, claims_of(version.benchmark.dataset))
    rows = rows.exclude(model_repo__in=measured).select_related("model_repo__namespace")
    found: dict[tuple[int, str], Claimed] = {}
    for claim in rows.order_by(*_OWN_FIRST)[: 5 * CLAIMS_SHOWN]:
        metric = metric_of(claim, version)
        value = value_of(claim.value, metric) if metric is not None else None
        if metric is not None and value is not None:
            found.setdefault((claim.model_repo_id, metric), Claimed(claim, metric, value))
    return list(found.values())[:CLAIMS_SHOWN]


_OWN_FIRST = (F("pull_request").desc(nulls_first=True), "-pk")
"""A model's own claims, then those of pull requests; of either the newest first."""


def claims_shown(actor: Actor, claims: QuerySet[Claim]) -> QuerySet[Claim]:
    """Those of models that `actor` may read.

    What a pull request of a gated model claims was read out of a file that is not on its default
    branch, and is for those whom the gate let in.
    """
    is_open = Q(pull_request=None) | Q(model_repo__gated="")
    return claims.filter(model_repo__in=actor.visible_repos()).filter(
        is_open | Q(model_repo__in=repos_open_to(actor))
    )


@dataclass(frozen=True)
class ClaimMade:
    """A claim as the model's own page shows it.

    `benchmark` and `metric` are those of this site that it is about, where it is about one;
    `value` is in the metric's own unit then, and as it is written elsewhere.
    """

    claim: Claim
    value: float
    metric: MetricInfo | None = None
    benchmark: Benchmark | None = None
    dataset: Repo | None = None

    @property
    def file_url(self) -> str:
        return file_url(self.claim)

    @property
    def pull_url(self) -> str:
        return pull_url(self.claim)


def claims_made_by(actor: Actor, model: Repo) -> list[ClaimMade]:
    """What the model's files and open pull requests claim, by data set; its own claims first."""
    rows = claims_shown(actor, Claim.objects.filter(model_repo=model, imported=None))
    rows = rows.select_related("model_repo__namespace")
    claims = list(rows.order_by("dataset_name", *_OWN_FIRST)[:CLAIMS_SHOWN])
    known = _data_sets(actor, [claim.dataset_name for claim in claims])
    current: dict[int, list[Benchmark]] = {}
    for benchmark in Benchmark.objects.active().filter(dataset__in=known.values()):
        current.setdefault(benchmark.dataset_id, []).append(benchmark)
    return [_made(claim, known.get(claim.dataset_name), current) for claim in claims]


def _made(claim: Claim, dataset: Repo | None, current: dict[int, list[Benchmark]]) -> ClaimMade:
    if dataset is None:
        return ClaimMade(claim, claim.value)
    for benchmark in current.get(dataset.pk, []):
        metric = metric_of(claim, benchmark.current) if benchmark.current else None
        value = value_of(claim.value, metric) if metric is not None else None
        if metric is not None and value is not None:
            return ClaimMade(claim, value, info_of(metric), benchmark, dataset)
    return ClaimMade(claim, claim.value, dataset=dataset)


def _data_sets(actor: Actor, names: Iterable[str]) -> dict[str, Repo]:
    """Those of the data sets that `actor` sees, by the name that claims have for them."""
    wanted = list(dict.fromkeys(names))[:DATA_SETS_NAMED]
    if not wanted:
        return {}
    is_named = Q()
    for name in wanted:
        space, _slash, last = name.partition("/")
        is_named |= Q(namespace__name__iexact=space, name__iexact=last)
        is_named |= Q(redirects__namespace_name__iexact=space, redirects__name__iexact=last)
    repos = actor.visible_repos().filter(is_named, repo_type=RepoType.DATASET).distinct()
    found: dict[str, Repo] = {}
    for repo in repos.select_related("namespace").prefetch_related("redirects"):
        for old in repo.redirects.all():
            found.setdefault(f"{old.namespace_name}/{old.name}".lower(), repo)
        found[repo.full_name.lower()] = repo
    return found


def claims_of(dataset: Repo) -> QuerySet[Claim]:
    """The claims that name a data set by its present id or an earlier one."""
    names = {dataset.full_name.lower()}
    for space, name in dataset.redirects.values_list("namespace_name", "name"):
        names.add(f"{space}/{name}".lower())
    models = Claim.objects.filter(model_repo__repo_type=RepoType.MODEL)
    return models.filter(dataset_name__in=names)


def metric_of(claim: Claim, version: BenchmarkVersion) -> str | None:
    """The metric of `version` that the claim is about; None where it is about something else."""
    spec = version.spec
    if claim.task_id and claim.task_id != version.benchmark.task_id:
        return None
    if claim.config and claim.config != (spec["config"] or "default"):
        return None
    if claim.split and claim.split != spec["split"]:
        return None
    if not claim.metric:
        return version.main_metric
    return claim.metric if claim.metric in version.metrics else None


def value_of(value: float, metric: str) -> float | None:
    """What is claimed, on the metric's own scale; None for what cannot be on it.

    Of shares, cards write 0.91 and 91 for the same.
    """
    info = info_of(metric)
    if not info.is_share:
        return value if info.is_within(value) else None
    if 0 <= value <= 1:
        return value
    return value / 100 if 1 < value <= 100 else None


def file_url(claim: Claim) -> str:
    """Where the claim is written."""
    if claim.imported_id is not None:
        return f"/api/v1/claims/{claim.imported_id}/source"
    revision = "main" if claim.pull_request is None else f"refs%2Fpr%2F{claim.pull_request}"
    return f"{claim.model_repo.url_path}/blob/{revision}/{quote(claim.filename)}"


def pull_url(claim: Claim) -> str:
    """The pull request that claims it; empty for the model's own claim."""
    number = claim.pull_request
    return "" if number is None else f"{claim.model_repo.url_path}/discussions/{number}"
