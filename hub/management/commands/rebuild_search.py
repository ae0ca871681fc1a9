from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from hub.actions.search import rebuild_search, sweep_search
from hub.models import Repo


class Command(BaseCommand):
    help = "Reads all cards again and stores the terms by which repositories are found."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--missing", action="store_true", help="only those that have none")

    def handle(self, *args: Any, missing: bool, **options: Any) -> None:
        if missing:
            n_repos = 0
            while found := sweep_search():
                n_repos += found
        else:
            repos = Repo.objects.select_related("namespace").order_by("pk")
            n_repos = rebuild_search(repos.iterator(chunk_size=500))
        self.stdout.write(f"{n_repos} repositories can be found anew.")
