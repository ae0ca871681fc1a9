"""Results as files to download."""

from __future__ import annotations

import json

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from evaluation.actions.records import record_document
from evaluation.errors import NotFinished
from evaluation.exports import FORMS, told_of
from evaluation.models import ImportedLog, Run, RunState
from hub.errors import NotFound
from hub.site import store
from hub.storage.errors import KeyMissing


def predictions_response(run: Run) -> HttpResponseBase:
    """The parquet of all answers. Raises `NotFinished`."""
    _require_finished(run)
    if not run.predictions_key:
        raise NotFinished("This run has no per-sample file.")
    size = run.predictions_size_bytes or 0
    try:
        stored = store().size(run.predictions_key)
    except KeyMissing:
        raise NotFinished("The per-sample file of this run is no longer in the store.") from None
    response = StreamingHttpResponse(
        store().stream(run.predictions_key), content_type="application/vnd.apache.parquet"
    )
    response["Content-Length"] = str(stored or size)
    response["ETag"] = f'"{run.predictions_sha256}"'
    return _as_file(response, f"{run.pk}-predictions.parquet")


def record_response(run: Run) -> HttpResponse:
    """The signed record as JSON. Raises `NotFinished`."""
    _require_finished(run)
    text = json.dumps(record_document(run=run), ensure_ascii=False, indent=1, sort_keys=True)
    response = HttpResponse(text + "\n", content_type="application/json")
    _as_file(response, f"{run.pk}-record.json")
    return response


def export_response(run: Run, form: str) -> HttpResponse:
    """The result in one of `exports.FORMS`. Raises `NotFinished`, `InvalidInput`, `NotFound`."""
    if form not in FORMS:
        raise NotFound(f"There is no such form; there are {', '.join(FORMS)}.")
    export = FORMS[form]
    response = HttpResponse(export.write(told_of(run)), content_type=export.content_type)
    _as_file(response, f"{run.pk}-{export.ending}")
    return response


def log_response(log: ImportedLog) -> HttpResponseBase:
    """An imported file as it was sent. Raises `NotFound`."""
    try:
        store().size(log.key)
    except KeyMissing:
        raise NotFound("The file is no longer in the store.") from None
    response = StreamingHttpResponse(
        store().stream(log.key), content_type="application/octet-stream"
    )
    response["Content-Length"] = str(log.size_bytes)
    return _as_file(response, log.filename)


def _require_finished(run: Run) -> None:
    if run.state != RunState.FINISHED:
        raise NotFinished


def _as_file(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, max-age=300"
    return response
