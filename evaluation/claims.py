"""What models claim on a benchmark, set against its metrics."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.models import BenchmarkVersion, Claim
from evaluation.models.claim import ClaimQuerySet
from hub.auth import Actor
from hub.models import Repo, RepoType

CLAIMS_SHOWN = 200


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

    Of several claims of one model for one metric the last one written counts. A claim whose task,
    config, split or metric is another's is left out, and so is a value that the metric cannot have.
    """
    measured = version.entries.values("model_repo_id")
    rows = claims_of(version.benchmark.dataset).visible_to(actor).exclude(model_repo__in=measured)
    rows = rows.select_related("model_repo__namespace").order_by("pk")[: 5 * CLAIMS_SHOWN]
    found = {}
    for claim in rows:
        metric = metric_of(claim, version)
        value = as_share(claim.value) if metric is not None else None
        if metric is not None and value is not None:
            found[claim.model_repo_id, metric] = Claimed(claim, metric, value)
    return list(found.values())[:CLAIMS_SHOWN]


def claims_of(dataset: Repo) -> ClaimQuerySet:
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


def as_share(value: float) -> float | None:
    """A claimed share: cards write 0.91 and 91 for the same. None for what is neither."""
    if 0 <= value <= 1:
        return value
    return value / 100 if 1 < value <= 100 else None


def file_url(claim: Claim) -> str:
    """Where the claim is written."""
    return f"{claim.model_repo.url_path}/blob/main/{claim.filename}"
