"""The parts of a run's page that measure it again and carry its result elsewhere."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from evaluation import access
from evaluation.actions.exports import publish_results
from evaluation.actions.replays import start_replay
from evaluation.exports import FORMS
from evaluation.models import Run
from evaluation.replays import replays_of
from hub.access import Level, level_of
from hub.auth import Actor, actor_of


@require_POST
def replay(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    actor = actor_of(request)
    run = access.get_run_for_read(actor, run_id)
    access.require_may_replay(actor, run)
    started = start_replay(run=run, acting_user=actor.require_user())
    return redirect("run", run_id=started.run.pk)


@require_POST
def publish(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    actor = actor_of(request)
    run = access.get_run_for_read(actor, run_id)
    as_pull_request = request.POST.get("as") == "pull_request"
    access.require_may_publish_results(actor, run, as_pull_request=as_pull_request)
    done = publish_results(
        run=run, as_pull_request=as_pull_request, acting_user=actor.require_user()
    )
    messages.success(request, _("The result is in %(path)s.") % {"path": done.path})
    return redirect(done.url)


def result_context(actor: Actor, run: Run) -> dict[str, Any]:
    """What the page of a finished evaluation says beside its numbers."""
    model = run.model_repo
    if model is None or run.is_dry_run:
        return {}
    again = replays_of(run)
    return {
        "replays": [told_of(other) for other in again],
        "replay": told_of(run) if run.replay_of_id is not None else None,
        "may_replay": access.may_replay(actor, run),
        "exports": [{"name": name, "form": form} for name, form in FORMS.items()],
        "may_commit": actor.user is not None and level_of(actor, model) >= Level.WRITE,
        "may_propose": actor.user is not None,
    }


def told_of(run: Run) -> dict[str, Any]:
    """One second measurement in words: verdict, reason, and by whom."""
    facts = (run.record or {}).get("replay", {})
    verdict = facts.get("verdict", "cannot_tell")
    word, tone, icon = _LOOKS.get(verdict, _LOOKS["cannot_tell"])
    return {
        "run": run,
        "facts": facts,
        "word": word,
        "tone": tone,
        "icon": icon,
        "when": run.finished_at,
        "who": _who(run, facts),
        "why": _WHY.get(facts.get("reason") or facts.get("rule", ""), ""),
    }


def _who(run: Run, facts: dict[str, Any]) -> str:
    names = {
        "name": run.owner.username if run.owner else _("somebody who is gone"),
        "worker": run.worker.name if run.worker else "–",
    }
    if facts.get("is_same_worker"):
        return _("started by %(name)s, on the same worker") % names
    return _("started by %(name)s, on another worker, %(worker)s") % names


_LOOKS = {
    "agree": (gettext_lazy("agree"), "good", "check-circle"),
    "differ": (gettext_lazy("differ"), "bad", "x-circle"),
    "cannot_tell": (gettext_lazy("cannot tell"), "unsure", "question-circle"),
}
_WHY = {
    "equal": gettext_lazy("The same engine in float32: every item scores the same."),
    "within": gettext_lazy(
        "Another engine, device or number type: few enough items changed, and the score lies inside"
        " the interval of the first."
    ),
    "items_changed": gettext_lazy("More items score otherwise than may."),
    "outside_interval": gettext_lazy("The score lies outside the interval of the first run."),
    "other_items": gettext_lazy("The two were asked other items."),
    "no_metric": gettext_lazy("No metric here can be read item by item."),
    "samples_lost": gettext_lazy("The answers of the first run are no longer in the store."),
}
