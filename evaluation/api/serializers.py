"""Forms of `/api/v1/`: what comes in, what goes out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.access import error_words
from evaluation.comparisons import MAX_MARGIN, MAX_RUNS
from evaluation.models import Benchmark, Run, RunKind, Score
from evaluation.queries import BoardRow, QueueInsight, queue_insight
from hub.auth import ANONYMOUS


class StartRunIn(serializers.Serializer[Any]):
    """A request to evaluate a model."""

    model = serializers.CharField(max_length=200, help_text="“namespace/name” of the model.")
    benchmark = serializers.CharField(
        max_length=300,
        help_text="“namespace/name/task”, or “namespace/name” where the data set has one task.",
    )
    revision = serializers.CharField(
        max_length=255,
        required=False,
        default="main",
        help_text="Branch, tag, commit or refs/pr/N.",
    )
    dry_run = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Only find out whether it would be accepted: no score, and no limit counts.",
    )
    label_map = serializers.DictField(
        child=serializers.CharField(max_length=200, allow_null=True),
        required=False,
        allow_null=True,
        default=None,
        help_text="From each label of the model to one of the benchmark; null for none of them.",
    )
    priority = serializers.ChoiceField(
        choices=["low", "normal", "high"],
        required=False,
        default="normal",
        help_text="Among your own runs that wait; it does not move those of others.",
    )
    base = serializers.CharField(
        max_length=200,
        required=False,
        default="",
        allow_blank=True,
        help_text="Of an adapter: “namespace/name” of its base. Left out, its config names it.",
    )


class SubmitIn(serializers.Serializer[Any]):
    """What comes with a predictions file, in the query; the file itself is the body."""

    system = serializers.CharField(
        max_length=96, help_text="Name of what made the predictions; a board shows one line of it."
    )
    filename = serializers.CharField(
        max_length=200, help_text="Its ending says the format: .jsonl, .csv, .tsv or .parquet."
    )
    namespace = serializers.CharField(
        required=False, default="", max_length=96, help_text="An organisation of yours; you else."
    )
    model = serializers.CharField(
        required=False, default="", max_length=200, help_text="The model on this site that it is."
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Only check the file: no score, no limit counts."
    )


class PhaseOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    opens = serializers.DateTimeField(allow_null=True)
    closes = serializers.DateTimeField(allow_null=True)
    per_day = serializers.IntegerField(allow_null=True)
    total = serializers.IntegerField(allow_null=True)


class SubmissionRulesOut(serializers.Serializer[Any]):
    """What may be handed in, and what is left of it for a person or organisation."""

    takes_models = serializers.BooleanField()
    takes_predictions = serializers.BooleanField()
    columns = serializers.ListField(
        child=serializers.CharField(), help_text="Of a predictions file; optional ones end in “?”."
    )
    namespace = serializers.CharField(allow_null=True)
    is_open = serializers.BooleanField()
    phase = serializers.CharField(allow_null=True)
    phases = PhaseOut(many=True)
    per_day = serializers.IntegerField(allow_null=True)
    total = serializers.IntegerField(allow_null=True)
    left_today = serializers.IntegerField(allow_null=True)
    left_in_total = serializers.IntegerField(allow_null=True)
    retry_at = serializers.DateTimeField(allow_null=True)


class ListRunsIn(serializers.Serializer[Any]):
    """Filters of the list of runs."""

    kind = serializers.ChoiceField(required=False, choices=RunKind.choices)
    model = serializers.CharField(required=False, max_length=200)
    benchmark = serializers.CharField(required=False, max_length=300)
    owner = serializers.CharField(required=False, max_length=150)
    state = serializers.ChoiceField(
        required=False,
        choices=["queued", "preparing", "running", "finished", "failed", "cancelled"],
    )
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)
    cursor = serializers.CharField(required=False, default="", max_length=200)


class TaskVersionOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    commit = serializers.CharField()
    spec_digest = serializers.CharField()
    created_at = serializers.DateTimeField()


class BenchmarkOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    type = serializers.CharField()
    dataset = serializers.CharField()
    config = serializers.CharField(allow_null=True)
    split = serializers.CharField()
    columns = serializers.DictField(child=serializers.CharField())
    labels = serializers.ListField(child=serializers.CharField(), allow_null=True)
    metrics = serializers.ListField(child=serializers.CharField())
    chance = serializers.FloatField(allow_null=True)
    baselines = serializers.ListField(child=serializers.DictField())
    generation = serializers.DictField(
        allow_null=True, help_text="How texts are generated; null where the task writes none."
    )
    comparison = serializers.DictField(allow_null=True, help_text="How they are compared.")
    asking = serializers.DictField(
        allow_null=True, help_text="How questions with choices are put; null for them alone."
    )
    dtype = serializers.CharField(help_text="The type that numbers are computed in.")
    submissions = serializers.DictField(
        allow_null=True, help_text="Who may hand in what, how often and when; null: no rules."
    )
    halves = serializers.DictField(
        allow_null=True, help_text="How the items are parted into a public and a private half."
    )
    is_active = serializers.BooleanField()
    version = TaskVersionOut()
    url = serializers.CharField()

    def to_representation(self, instance: Benchmark) -> dict[str, Any]:
        version = instance.current
        assert version is not None
        spec = version.spec
        kept = ("config", "split", "columns", "labels", "metrics", "chance", "baselines")
        return super().to_representation(
            {
                "id": instance.full_id,
                "name": instance.name,
                "description": instance.description,
                "type": instance.task_type,
                "dataset": instance.dataset.full_name,
                **{name: spec[name] for name in kept},
                **{name: spec.get(name) for name in _OPTIONAL},
                "dtype": spec.get("dtype", "float32"),
                "is_active": instance.is_active,
                "version": {
                    "number": version.number,
                    "commit": version.commit_sha,
                    "spec_digest": version.spec_digest,
                    "created_at": version.created_at,
                },
                "url": instance.url_path,
            }
        )


_OPTIONAL = ("generation", "comparison", "asking", "submissions", "halves")


class ScoreOut(serializers.ModelSerializer[Score]):
    class Meta:
        model = Score
        fields = [
            "metric",
            "value",
            "direction",
            "n",
            "n_missing",
            "se",
            "ci_low",
            "ci_high",
            "method",
            "public_value",
            "private_value",
        ]


class ErrorOut(serializers.Serializer[Any]):
    family = serializers.CharField(
        help_text="user: needs a change by you; system: our fault; cancelled; timeout."
    )
    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField()


class ProgressOut(serializers.Serializer[Any]):
    phase = serializers.CharField(allow_blank=True)
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    per_second = serializers.FloatField(allow_null=True)


class QueueOut(serializers.Serializer[QueueInsight]):
    reason = serializers.CharField(
        help_text="starting, behind_others, all_busy, no_worker, no_worker_of_pool, draining or "
        "back_off."
    )
    pool = serializers.CharField(help_text="Of the workers that may take it.")
    position = serializers.IntegerField()
    starts_at = serializers.DateTimeField(allow_null=True)


class RunOut(serializers.Serializer[Run]):
    """A run; `queue` is filled while it waits, `error` when it failed, `scores` when finished."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.CharField()
    model = serializers.CharField(
        source="model_repo.full_name",
        default=None,
        allow_null=True,
        help_text="Null for predictions.",
    )
    commit = serializers.CharField(source="model_commit", help_text="Empty for predictions.")
    system = serializers.CharField(
        source="system.full_name", default=None, allow_null=True, help_text="Whose predictions."
    )
    is_dry_run = serializers.BooleanField()
    dataset = serializers.CharField(
        source="dataset.full_name",
        default=None,
        allow_null=True,
        help_text="The data set that the run reads.",
    )
    base = serializers.CharField(
        source="base_repo.full_name",
        default=None,
        allow_null=True,
        help_text="Of an adapter: the model that it is loaded on.",
    )
    benchmark = serializers.CharField(
        source="benchmark_version.benchmark.full_id",
        default=None,
        allow_null=True,
        help_text="Only evaluations have one.",
    )
    benchmark_version = serializers.IntegerField(
        source="benchmark_version.number", default=None, allow_null=True
    )
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True)
    worker = serializers.CharField(source="worker.name", default=None, allow_null=True)
    attempt = serializers.IntegerField()
    queued_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    progress = serializers.SerializerMethodField()
    queue = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    scores = ScoreOut(many=True)
    record_digest = serializers.CharField(allow_blank=True)
    replay_of = serializers.UUIDField(
        source="replay_of_id", allow_null=True, help_text="The run that this one measures again."
    )
    replay_verdict = serializers.CharField(
        allow_blank=True, help_text="agree, differ or cannot_tell; the record says why."
    )
    is_cancel_requested = serializers.BooleanField()
    url = serializers.CharField(source="url_path")

    @extend_schema_field(ProgressOut)
    def get_progress(self, run: Run) -> dict[str, Any]:
        return {
            "phase": run.phase,
            "done": run.items_done,
            "total": run.items_total,
            "per_second": run.items_per_s,
        }

    @extend_schema_field(QueueOut(allow_null=True))
    def get_queue(self, run: Run) -> dict[str, Any] | None:
        insight = queue_insight(run) if self.context.get("with_queue") else None
        return QueueOut(insight).data if insight else None

    @extend_schema_field(ErrorOut(allow_null=True))
    def get_error(self, run: Run) -> dict[str, Any] | None:
        if not run.error_code:
            return None
        message, details = error_words(self.context.get("actor", ANONYMOUS), run)
        return {
            "family": run.error_family,
            "code": run.error_code,
            "message": message,
            "details": details,
        }


class RunPageOut(serializers.Serializer[Any]):
    items = RunOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class BenchmarkPageOut(serializers.Serializer[Any]):
    items = BenchmarkOut(many=True)


class BoardRowOut(serializers.Serializer[Any]):
    rank_best = serializers.IntegerField(allow_null=True)
    rank_worst = serializers.IntegerField(allow_null=True)
    opens_group = serializers.BooleanField()
    model = serializers.CharField(help_text="The model, or the system behind the predictions.")
    kind = serializers.ChoiceField(
        ["verified", "predictions", "baseline"],
        help_text="verified: run here; predictions: handed in; baseline: worked out here.",
    )
    gap = serializers.FloatField(
        allow_null=True, help_text="Public half minus private half, by the main metric."
    )
    commit = serializers.CharField()
    run = serializers.UUIDField()
    owner = serializers.CharField(allow_null=True)
    worker = serializers.CharField(allow_null=True)
    finished_at = serializers.DateTimeField()
    scores = ScoreOut(many=True)

    def to_representation(self, instance: BoardRow) -> dict[str, Any]:
        run = instance.entry.run
        return super().to_representation(
            {
                "rank_best": instance.placed.best,
                "rank_worst": instance.placed.worst,
                "opens_group": instance.placed.opens_group,
                "model": instance.entry.name,
                "kind": instance.kind,
                "gap": instance.gap,
                "commit": run.model_commit,
                "run": run.pk,
                "owner": run.owner.username if run.owner else None,
                "worker": run.worker.name if run.worker else None,
                "finished_at": run.finished_at,
                "scores": sorted(instance.scores.values(), key=lambda score: score.position),
            }
        )


class LeaderboardOut(serializers.Serializer[Any]):
    benchmark = serializers.CharField()
    version = serializers.IntegerField()
    commit = serializers.CharField()
    metrics = serializers.ListField(child=serializers.CharField())
    chance = serializers.FloatField(allow_null=True)
    baselines = serializers.ListField(child=serializers.DictField())
    rows = BoardRowOut(many=True)


class CompareIn(serializers.Serializer[Any]):
    """Which runs to compare, by what."""

    run = serializers.ListField(
        child=serializers.UUIDField(),
        min_length=2,
        max_length=MAX_RUNS,
        help_text="Ids of finished runs; repeat it: `run=…&run=…`.",
    )
    metric = serializers.CharField(
        required=False, default=None, max_length=40, help_text="The benchmark's main one else."
    )
    margin = serializers.FloatField(
        required=False,
        default=None,
        min_value=0,
        max_value=MAX_MARGIN,
        help_text="By how much a candidate may be worse and still pass, in the metric's unit.",
    )


class ComparedRunOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    model = serializers.CharField()
    commit = serializers.CharField()
    record_digest = serializers.CharField()


class DifferenceOut(serializers.Serializer[Any]):
    """Candidate minus base over the items that both answered."""

    difference = serializers.FloatField(allow_null=True)
    base_value = serializers.FloatField(allow_null=True)
    candidate_value = serializers.FloatField(allow_null=True)
    se = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField()
    p = serializers.FloatField(allow_null=True)
    method = serializers.CharField()
    n = serializers.IntegerField()
    n_missing = serializers.IntegerField(help_text="Items that one of the two did not answer.")
    n_clusters = serializers.IntegerField(allow_null=True)
    only_base = serializers.IntegerField(help_text="Items on which just the base is better.")
    only_candidate = serializers.IntegerField()
    correlation = serializers.FloatField(allow_null=True)
    detectable = serializers.FloatField(
        allow_null=True, help_text="Smallest difference found with 80 % power."
    )
    n_for_seen = serializers.IntegerField(allow_null=True)
    n_for_margin = serializers.IntegerField(allow_null=True)
    n_to_tell = serializers.IntegerField(
        allow_null=True, help_text="Items that would bring a verdict, where there is none."
    )
    verdict = serializers.ChoiceField(["better", "not_worse", "worse", "cannot_tell"])


class GroupDifferenceOut(DifferenceOut):
    group = serializers.CharField()


class ConfusionChangeOut(serializers.Serializer[Any]):
    """Rows are right labels, columns answers: the candidate's counts minus the base's."""

    labels = serializers.ListField(child=serializers.CharField())
    counts = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))


class ComparedPairOut(DifferenceOut):
    base = serializers.UUIDField()
    candidate = serializers.UUIDField()
    p_adjusted = serializers.FloatField(allow_null=True, help_text="By Holm's method.")
    n_apart = serializers.IntegerField(help_text="Items that only one of the two was asked.")
    groups = GroupDifferenceOut(many=True)
    confusion_change = ConfusionChangeOut(allow_null=True)


class ComparisonsOut(serializers.Serializer[Any]):
    benchmark = serializers.CharField()
    version = serializers.IntegerField()
    metric = serializers.CharField()
    direction = serializers.CharField()
    margin = serializers.FloatField()
    runs = ComparedRunOut(many=True)
    pairs = ComparedPairOut(many=True)


def compared_run(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk,
        "model": run.name,
        "commit": run.model_commit,
        "record_digest": run.record_digest,
    }
