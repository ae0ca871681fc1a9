"""Addresses of benchmarks, leaderboards and runs, and of their tabs on repository pages."""

from django.urls import path

from evaluation.portal import (
    boards,
    compare,
    convert,
    evaluate,
    finetune,
    imports,
    replays,
    runs,
    submissions,
    tabs,
    training,
)

_BOARD = "benchmarks/<name:namespace>/<name:name>/<name:task_id>"
_MODEL = "<name:namespace>/<name:name>"

urlpatterns = [
    path("benchmarks", boards.benchmarks, name="benchmarks"),
    path(_BOARD, boards.leaderboard_page, name="leaderboard"),
    path(f"{_BOARD}/evaluate", evaluate.choose_model, name="evaluate_on"),
    path(f"{_BOARD}/predictions", submissions.predictions, name="submit_predictions"),
    path("compare", compare.compare_page, name="compare"),
    path("runs", runs.run_list, name="runs"),
    path("runs/<uuid:run_id>", runs.run_page, name="run"),
    path("runs/<uuid:run_id>/panel", runs.run_panel, name="run_panel"),
    path("runs/<uuid:run_id>/cancel", runs.cancel, name="run_cancel"),
    path("runs/<uuid:run_id>/resume", training.resume, name="run_resume"),
    path("runs/<uuid:run_id>/publish", training.publish, name="run_publish"),
    path("runs/<uuid:run_id>/replay", replays.replay, name="run_replay"),
    path("runs/<uuid:run_id>/results", replays.publish, name="run_publish_results"),
    path("runs/<uuid:run_id>/predictions", runs.predictions, name="run_predictions"),
    path("runs/<uuid:run_id>/record", runs.record, name="run_record"),
    path(f"{_MODEL}/evaluations", tabs.evaluations, name="evaluations"),
    path(f"{_MODEL}/import-results", imports.import_results, name="import_results"),
    path("claims/<uuid:log_id>/remove", imports.remove, name="claim_remove"),
    path(f"{_MODEL}/evaluate", evaluate.evaluate, name="evaluate"),
    path(f"{_MODEL}/convert", convert.convert, name="convert"),
    path(f"{_MODEL}/finetune", finetune.finetune, name="finetune"),
    path(f"{_MODEL}/finetune/price", finetune.finetune_price, name="finetune_price"),
    path(f"datasets/{_MODEL}/finetune", finetune.finetune_on, name="dataset_finetune"),
    path(f"datasets/{_MODEL}/benchmark", tabs.benchmark, name="dataset_benchmark"),
]
