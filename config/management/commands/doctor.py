from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from config.doctor import Finding, Level, examine, worst


class Command(BaseCommand):
    help = (
        "Checks database, broker, workers, store, git copy, git, cage and disk, and says how to"
        " mend what is wrong. Exit status 1 when something failed."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print findings as JSON")
        parser.add_argument(
            "--all-repos", action="store_true", help="compare every repository, not the newest 500"
        )

    def handle(self, *args: Any, all_repos: bool, **options: Any) -> None:
        findings = []
        for finding in examine(repo_limit=None if all_repos else 500):
            findings.append(finding)
            if not options["json"]:
                self._show(finding)
        level = worst(findings)
        if options["json"]:
            rows = [asdict(finding) for finding in findings]
            self.stdout.write(json.dumps({"level": level, "findings": rows}, indent=2))
        if level == Level.FAIL:
            sys.exit(1)

    def _show(self, finding: Finding) -> None:
        style = {
            Level.OK: self.style.SUCCESS,
            Level.WARN: self.style.WARNING,
            Level.FAIL: self.style.ERROR,
        }[finding.level]
        self.stdout.write(f"{style(f'{finding.level:<4}')}  {finding.check:<9} {finding.text}")
        if finding.level != Level.OK and finding.mend:
            self.stdout.write(f"{'':<16}→ {finding.mend}")
