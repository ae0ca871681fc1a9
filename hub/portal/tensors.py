"""The page that lists the tensors of a checkpoint, or compares them between two commits."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from hub.errors import InvalidInput
from hub.portal.changes import page_number_of
from hub.portal.repo_page import open_contents_page
from hub.scan_words import finding_text
from hub.storable import storable_text
from hub.tensors import Unreadable, Version, compare_tensors, has_tensors
from ml_core.formats.safetensors import TensorInfo
from ml_core.formats.tensor_diff import TensorChange, TensorDiff

MAX_ROWS = 500
_MAX_NAME_CHARS = 200
_MAX_SHAPE_CHARS = 120


@dataclass(frozen=True)
class TensorRow:
    """One line of the table, its texts fit to be shown whatever the file says."""

    change: TensorChange
    name: str
    old_shape: str
    new_shape: str


@require_GET
def tensors(
    request: HttpRequest, repo_type: str, namespace: str, name: str, revision: str, path: str
) -> HttpResponse:
    """A page; for htmx the table alone. Without `old` the tensors are listed."""
    page = open_contents_page(request, repo_type, namespace, name, revision=revision)
    if not has_tensors(path):
        raise InvalidInput("Only safetensors files have tensors to show.")
    old = request.GET.get("old")
    old_sha = page.git.resolve(old) if old else None
    found = compare_tensors(
        page.repo,
        Version(old_sha, request.GET.get("old_path") or path),
        Version(page.commit_sha, path),
    )
    table = "hub/components/tensor_diff.html" if old else "hub/components/tensor_list.html"
    context: dict[str, object] = {
        "path": path, "old_sha": old_sha, "new_sha": page.commit_sha, "table": table,
    }  # fmt: skip
    if isinstance(found, Unreadable):
        context |= _refusal(found)
    else:
        context |= _compared(found) if old else _listed(request, found)
    if request.htmx:  # type: ignore[attr-defined]  # set by django-htmx
        return render(request, table, context)
    return page.render("hub/repo_tensors.html", "files", context)


def _refusal(found: Unreadable) -> dict[str, object]:
    return {
        "reason": gettext(_reason(found)),
        "reason_path": found.path,
        "tensor": _safe(found.tensor),
    }


def _listed(request: HttpRequest, found: TensorDiff) -> dict[str, object]:
    """A page of the tensors whose name contains `q`, all of which came from nothing."""
    wanted = request.GET.get("q", "").strip()[:_MAX_NAME_CHARS]
    named = [one for one in found.changes if wanted.casefold() in one.name.casefold()]
    number = page_number_of(request)
    rows = [_row(one) for one in named[number * MAX_ROWS : (number + 1) * MAX_ROWS]]
    return {
        "parameters": found.new.parameters,
        "rows": rows,
        "wanted": wanted,
        "n_named": len(named),
        "n_tensors": len(found.changes),
        "page_number": number,
        "has_next": len(named) > (number + 1) * MAX_ROWS,
    }


def _compared(found: TensorDiff) -> dict[str, object]:
    rows = [_row(change) for change in found.changes[:MAX_ROWS]]
    n_by_kind = {kind: found.count(kind) for kind in ("added", "removed", "changed")}
    return {"diff": found, "rows": rows, "n_by_kind": n_by_kind,
            "n_more": len(found.changes) - len(rows)}  # fmt: skip


def _reason(found: Unreadable) -> str:
    words = {"code": found.code, "message": storable_text(found.message), "detail": {}}
    return finding_text(words)


def _row(change: TensorChange) -> TensorRow:
    return TensorRow(change, _safe(change.name), _shape(change.old), _shape(change.new))


def _shape(tensor: TensorInfo | None) -> str:
    if tensor is None:
        return ""
    text = " × ".join(str(size) for size in tensor.shape) or gettext("one number")
    return text if len(text) <= _MAX_SHAPE_CHARS else text[:_MAX_SHAPE_CHARS] + "…"


def _safe(text: str) -> str:
    plain = storable_text(text)
    return plain if len(plain) <= _MAX_NAME_CHARS else plain[:_MAX_NAME_CHARS] + "…"
