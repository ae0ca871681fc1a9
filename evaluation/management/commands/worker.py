from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.timesince import timesince

from evaluation.actions.workers import drain_worker, resume_worker
from evaluation.models import HELD, Worker


class Command(BaseCommand):
    help = "Looks after the workers that execute runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="who works, for which pools, on how many runs")
        drain = verbs.add_parser("drain", help="take nothing new, for an upgrade")
        _add_choice(drain)
        drain.add_argument(
            "--hand-back",
            action="store_true",
            help="put what is held back in the queue at once, at no cost to anybody",
        )
        _add_choice(verbs.add_parser("resume", help="take runs again"))

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"_{verb}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for worker in Worker.objects.order_by("name"):
            self.stdout.write(_line(worker))

    def _drain(self, options: dict[str, Any]) -> None:
        for worker in _chosen(options):
            drain_worker(worker=worker, acting_user=None, hands_back=options["hand_back"])
            held = worker.runs.filter(state__in=HELD).count()
            rest = "handed back" if options["hand_back"] else "finished first"
            self.stdout.write(f"{worker.name} takes nothing new; {held} runs are {rest}.")

    def _resume(self, options: dict[str, Any]) -> None:
        for worker in _chosen(options):
            resume_worker(worker=worker, acting_user=None)
            self.stdout.write(f"{worker.name} takes runs again.")


def _add_choice(parser: ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("name", nargs="?", help="as `worker list` names it")
    choice.add_argument("--all", action="store_true", help="every worker that is alive")


def _chosen(options: dict[str, Any]) -> list[Worker]:
    if options["all"]:
        return list(Worker.objects.alive().order_by("name"))
    worker = Worker.objects.filter(name=options["name"]).first()
    if worker is None:
        raise CommandError(f"There is no worker {options['name']!r}; see `worker list`.")
    return [worker]


def _line(worker: Worker) -> str:
    state = "gone" if not worker.is_alive else "draining" if worker.draining_at else "takes runs"
    held = worker.runs.filter(state__in=HELD).count()
    pools = ",".join(worker.pools)
    heard = timesince(worker.heartbeat_at, timezone.now(), depth=1)
    return (
        f"{worker.name:<32} {state:<11} pools {pools:<12} {held}/{worker.slots} runs  "
        f"heard of {heard} ago  {worker.device}"
    )
