"""Addresses below `/api/v1/`."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from evaluation.api import (
    claims,
    conversions,
    finetunes,
    results,
    schema,  # noqa: F401  (it registers itself)
    submissions,
    views,
)

_BOARD = "<name:namespace>/<name:name>/<name:task_id>"

urlpatterns = [
    path("benchmarks", views.BenchmarkList.as_view(), name="api_benchmarks"),
    path(f"benchmarks/{_BOARD}", views.BenchmarkDetail.as_view(), name="api_benchmark"),
    path(
        f"benchmarks/{_BOARD}/predictions",
        submissions.Predictions.as_view(),
        name="api_predictions",
    ),
    path(f"leaderboards/{_BOARD}", views.Leaderboard.as_view(), name="api_leaderboard"),
    path("compare", views.Compare.as_view(), name="api_compare"),
    path("runs", views.RunList.as_view(), name="api_runs"),
    path("runs/<uuid:run_id>", views.RunDetail.as_view(), name="api_run"),
    path("runs/<uuid:run_id>/cancel", views.RunCancel.as_view(), name="api_run_cancel"),
    path("runs/<uuid:run_id>/record", views.RunRecord.as_view(), name="api_run_record"),
    path(
        "runs/<uuid:run_id>/predictions", views.RunPredictions.as_view(), name="api_run_predictions"
    ),
    path("runs/<uuid:run_id>/curves", finetunes.RunCurves.as_view(), name="api_run_curves"),
    path("runs/<uuid:run_id>/resume", finetunes.RunResume.as_view(), name="api_run_resume"),
    path("runs/<uuid:run_id>/publish", finetunes.RunPublish.as_view(), name="api_run_publish"),
    path("runs/<uuid:run_id>/replays", results.RunReplays.as_view(), name="api_run_replays"),
    path(
        "runs/<uuid:run_id>/exports/<slug:form>", results.RunExport.as_view(), name="api_run_export"
    ),
    path(
        "runs/<uuid:run_id>/results",
        results.RunPublishResults.as_view(),
        name="api_run_publish_results",
    ),
    path("claims", claims.ClaimList.as_view(), name="api_claims"),
    path("claims/<uuid:log_id>", claims.ClaimDetail.as_view(), name="api_claim"),
    path("claims/<uuid:log_id>/source", claims.ClaimSource.as_view(), name="api_claim_source"),
    path("finetunes", finetunes.FinetuneList.as_view(), name="api_finetunes"),
    path("finetunes/price", finetunes.FinetunePrice.as_view(), name="api_finetune_price"),
    path("conversions", conversions.ConversionList.as_view(), name="api_conversions"),
    path("runs/<uuid:run_id>/verify", views.RunVerify.as_view(), name="api_run_verify"),
    path("eval-schema", submissions.EvalSchema.as_view(), name="api_eval_schema"),
    path("instance-key", views.InstanceKey.as_view(), name="instance_key"),
    path("record-schema", views.RecordSchema.as_view(), name="record_schema"),
    path("schema", SpectacularAPIView.as_view(), name="api_schema"),
    path(
        "docs",
        SpectacularSwaggerSplitView.as_view(
            url_name="api_schema", template_name="evaluation/api_docs.html"
        ),
        name="api_docs",
    ),
]
