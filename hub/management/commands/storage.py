from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from hub.actions.garbage import Collected, Tally, collect_garbage
from hub.actions.scrub import Damage, scrub_storage
from hub.actions.upkeep import SWEEP_S, due_repos, sweep_repacks
from hub.fate import Fate
from hub.usage import Holder, StorageReport, storage_report

_FATES = {
    Fate.MARK: "marked now",
    Fate.WAIT: "marked before",
    Fate.DELETE: "deleted",
    Fate.CLEAR: "needed again",
}


class Command(BaseCommand):
    help = "Looks after stored bytes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        report = verbs.add_parser("report", help="what repositories hold, and what is stored")
        report.add_argument("--top", type=int, default=10, help="how many of the largest to name")
        report.add_argument("--json", action="store_true", help="print the figures as JSON")

        collect = verbs.add_parser("collect", help="delete what nothing names any more")
        collect.add_argument("--apply", action="store_true", help="do it; else only tell")

        repack = verbs.add_parser("repack", help="join the objects of scattered git repositories")
        repack.add_argument("--seconds", type=float, default=SWEEP_S, help="begin no other later")

        scrub = verbs.add_parser("scrub", help="verify stored bytes again, set damaged ones aside")
        how_many = scrub.add_mutually_exclusive_group()
        how_many.add_argument("--sample", type=int, default=100, help="how many objects")
        how_many.add_argument("--all", action="store_true", help="every object")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"_{verb}")(options)

    def _report(self, options: dict[str, Any]) -> None:
        report = storage_report(top=max(0, options["top"]))
        if options["json"]:
            self.stdout.write(json.dumps(_facts(report), indent=2))
            return
        for label, value in _lines(report):
            self.stdout.write(f"{label:<34}{value:>16}")
        self._holders("Namespaces", report.namespaces)
        self._holders("Repositories", report.repos)

    def _collect(self, options: dict[str, Any]) -> None:
        is_applied = options["apply"]
        done = collect_garbage(is_applied=is_applied)
        self.stdout.write(f"{'':<24}" + "".join(f"{word:>24}" for word in _FATES.values()))
        for label, tally in _tallies(done):
            cells = (f"{tally.counts[fate]} ({_size(tally.sizes_bytes[fate])})" for fate in _FATES)
            self.stdout.write(f"{label:<24}" + "".join(f"{cell:>24}" for cell in cells))
        if not is_applied:
            self.stdout.write("Nothing was changed. Repeat with --apply to do this.")

    def _repack(self, options: dict[str, Any]) -> None:
        done = sweep_repacks(budget_s=options["seconds"])
        waiting = due_repos(timezone.now()).count()
        self.stdout.write(f"{done} git repositories were repacked, {waiting} wait.")

    def _scrub(self, options: dict[str, Any]) -> None:
        limit = None if options["all"] else max(0, options["sample"])
        done = scrub_storage(limit=limit, tell=self._tell_damage)
        found = f"{done.checked_count} objects ({_size(done.checked_bytes)}) were verified"
        self.stdout.write(f"{found}, {len(done.damages)} of them were damaged.")
        if done.damages:
            sys.exit(1)

    def _tell_damage(self, damage: Damage) -> None:
        self.stdout.write(self.style.ERROR(f"{damage.key}: {damage.reason}"))

    def _holders(self, title: str, holders: tuple[Holder, ...]) -> None:
        if holders:
            self.stdout.write(f"\n{title}, largest first")
        for holder in holders:
            self.stdout.write(f"  {_size(holder.logical_bytes):>12}  {holder.name}")


def _tallies(done: Collected) -> list[tuple[str, Tally]]:
    return [
        ("rights of repositories", done.rights),
        ("large files", done.contents),
        ("xorbs", done.xorbs),
        ("objects without a row", done.orphans),
    ]


def _facts(report: StorageReport) -> dict[str, Any]:
    totals = report.totals
    return asdict(totals) | {
        "stored_bytes": totals.stored_bytes,
        "saving_ratio": totals.saving_ratio,
        "compression_ratio": totals.compression_ratio,
        "distinct_large_bytes": report.distinct_large_bytes,
        "unreferenced_bytes": report.unreferenced_bytes,
        "namespaces": [asdict(holder) for holder in report.namespaces],
        "repos": [asdict(holder) for holder in report.repos],
        "others": [asdict(other) for other in report.others],
    }


def _lines(report: StorageReport) -> list[tuple[str, str]]:
    totals = report.totals
    return [
        ("Large files, for each repository", _size(totals.logical_large_bytes)),
        ("Large files, each content once", _size(report.distinct_large_bytes)),
        ("Git repositories", _size(totals.logical_git_bytes)),
        ("Git repositories to be repacked", str(totals.scattered_count)),
        (f"Stored plain ({totals.plain_count})", _size(totals.plain_bytes)),
        (f"Stored in xorbs ({totals.xorb_count})", _size(totals.xorb_bytes)),
        ("Stored together", _size(totals.stored_bytes)),
        ("Saved: held to stored", _times(totals.saving_ratio)),
        ("Of this by compression of chunks", _times(totals.compression_ratio)),
        ("Stored, needed by no repository", _size(report.unreferenced_bytes)),
        ("Of this marked by collection", _size(totals.condemned_bytes)),
        ("Damaged and set aside", str(totals.quarantined_count)),
        *((f"{other.label} ({other.count})", _size(other.size_bytes)) for other in report.others),
    ]


def _size(size_bytes: int) -> str:
    return filesizeformat(size_bytes).replace("\xa0", " ")


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f} ×"
