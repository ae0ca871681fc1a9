"""Celery's hooks of a worker that listens to the queue `evaluate`. Each calls one function.

Loaded by every process of the site, so that what only workers need is imported inside.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import signals
from django.conf import settings

from evaluation.pools import QUEUE, queue_of


@signals.worker_init.connect
def prepare_worker(sender: Any, **kwargs: Any) -> None:
    """Before the pool forks: what every run needs is imported once."""
    queues = sender.app.amqp.queues
    if QUEUE not in (queues.consume_from or queues):
        return
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    for pool in settings.WORKER_POOLS:
        queues.select_add(queue_of(pool))
    import datasets  # noqa: F401  (a second that no run has to wait for)

    from evaluation.worker import execution, presence, workspace  # noqa: F401

    presence.belong_to(sender.hostname)
    workspace.sweep_workspaces()


@signals.worker_process_init.connect
def prepare_process(**kwargs: Any) -> None:
    """A process of the pool: its first run finds a warm child."""
    if _is_ours():
        from evaluation.worker import workspace

        workspace.try_stand_by()


@signals.worker_process_shutdown.connect
def tidy_process(**kwargs: Any) -> None:
    if _is_ours():
        from evaluation.worker import workspace

        workspace.drop_standby()


@signals.worker_ready.connect
def appear(sender: Any, **kwargs: Any) -> None:
    if _is_ours():
        from evaluation.worker import presence

        presence.appear(sender.hostname, slots=sender.controller.concurrency or 1)


@signals.worker_shutting_down.connect
def begin_to_stop(sender: Any, how: str = "", **kwargs: Any) -> None:
    """After a cold shutdown, whose tasks are ended already, Celery says nothing more."""
    if _is_ours():
        from evaluation.worker import presence

        presence.begin_to_stop(str(sender))
        if how == "Cold":
            presence.disappear(str(sender))


@signals.worker_shutdown.connect
def disappear(sender: Any, **kwargs: Any) -> None:
    if _is_ours():
        from evaluation.worker import presence, workspace

        workspace.drop_standby()
        presence.disappear(sender.hostname)


def _is_ours() -> bool:
    """Whether this process belongs to a worker that executes runs."""
    presence = sys.modules.get("evaluation.worker.presence")
    return presence is not None and presence.belongs_to_worker()
