"""How each state of the product looks: one icon, one word and one tone for each. Pure.

Tones: good, bad, unsure, wait, active, plain (see `.tone-*` in theme.css).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


@dataclass(frozen=True)
class Look:
    word: str | Promise
    icon: str
    tone: str
    is_turning: bool = False


LOOKS: dict[str, Look] = {
    # runs
    "queued": Look(_("Queued"), "hourglass-split", "wait"),
    "claimed": Look(_("Preparing"), "arrow-repeat", "active", is_turning=True),
    "preparing": Look(_("Preparing"), "arrow-repeat", "active", is_turning=True),
    "running": Look(_("Running"), "arrow-repeat", "active", is_turning=True),
    "scoring": Look(_("Scoring"), "arrow-repeat", "active", is_turning=True),
    "cancelling": Look(_("Stopping"), "arrow-repeat", "wait", is_turning=True),
    "finished": Look(_("Finished"), "check-circle", "good"),
    "failed": Look(_("Failed"), "x-circle", "bad"),
    "cancelled": Look(_("Cancelled"), "slash-circle", "plain"),
    "timeout": Look(_("Out of time"), "stopwatch", "bad"),
    "infra_error": Look(_("Our fault, retrying"), "arrow-clockwise", "wait"),
    # scans
    "clean": Look(_("Clean"), "shield-check", "good"),
    "safe": Look(_("Clean"), "shield-check", "good"),
    "suspicious": Look(_("Suspicious"), "shield-exclamation", "unsure"),
    "unsafe": Look(_("Unsafe"), "shield-x", "bad"),
    "malicious": Look(_("Unsafe"), "shield-x", "bad"),
    "scanning": Look(_("Scanning"), "arrow-repeat", "active", is_turning=True),
    "pending": Look(_("Waiting"), "hourglass-split", "wait"),
    "not_scanned": Look(_("Not scanned"), "question-circle", "unsure"),
    "unscanned": Look(_("Not scanned"), "question-circle", "unsure"),
    "error": Look(_("Scan failed"), "exclamation-triangle", "unsure"),
    # verdicts of a comparison
    "better": Look(_("Better"), "arrow-up", "good"),
    "not_worse": Look(_("Not worse"), "check-circle", "good"),
    "worse": Look(_("Worse"), "arrow-down", "bad"),
    "cannot_tell": Look(_("Cannot tell"), "question-circle", "unsure"),
    # webhooks
    "waiting": Look(_("Waiting"), "hourglass-split", "wait"),
    "retrying": Look(_("To be tried again"), "arrow-clockwise", "wait"),
    "delivered": Look(_("Delivered"), "check-circle", "good"),
    "switched_off": Look(_("Switched off"), "slash-circle", "plain"),
    # files and tensors of a difference
    "added": Look(_("Added"), "plus-lg", "good"),
    "deleted": Look(_("Deleted"), "trash", "bad"),
    "removed": Look(pgettext_lazy("difference", "Removed"), "trash", "bad"),
    "modified": Look(_("Changed"), "pencil", "wait"),
    "changed": Look(_("Changed"), "pencil", "wait"),
    "renamed": Look(pgettext_lazy("difference", "Renamed"), "arrow-right", "plain"),
    "copied": Look(pgettext_lazy("difference", "Copied"), "clipboard", "plain"),
    "typechange": Look(_("Other kind"), "file-earmark", "plain"),
    # discussions and pull requests
    "open": Look(pgettext_lazy("discussion", "Open"), "record-circle", "good"),
    "draft": Look(_("Draft"), "pencil-square", "plain"),
    "merged": Look(_("Merged"), "sign-merge-right", "active"),
    "closed": Look(_("Closed"), "slash-circle", "plain"),
    # requests for access
    "accepted": Look(_("Accepted"), "check-circle", "good"),
    "rejected": Look(_("Rejected"), "x-circle", "bad"),
    # repositories, tokens, workers
    "private": Look(_("Private"), "lock", "plain"),
    "public": Look(pgettext_lazy("visibility", "Public"), "globe2", "plain"),
    "active": Look(_("Active"), "check-circle", "good"),
    "expired": Look(_("Expired"), "clock-history", "bad"),
    "alive": Look(_("Alive"), "activity", "good"),
    "lost": Look(_("Lost"), "question-circle", "unsure"),
}


def look_of(state: str) -> Look:
    """The look of `state`; an unknown one is shown by its own word in a plain tone."""
    return LOOKS.get(state) or Look(state.replace("_", " ").capitalize(), "dot", "plain")
