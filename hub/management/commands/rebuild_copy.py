"""Writes again what the database copies from the git repositories: refs, heads, metadata."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.actions.refs import rebuild_copy
from hub.models import Repo, RepoType
from hub.vcs.errors import VcsError


class Command(BaseCommand):
    """`manage.py rebuild_copy [namespace/name | datasets/namespace/name | ...]...`"""

    help = (
        "Rebuild the database's copy of refs and metadata from git, for all or some repositories."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "repos", nargs="*", help="[datasets/|spaces/]namespace/name; all if left out"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        n_repos = n_changed = 0
        failed: list[str] = []
        for repo in self._chosen(options["repos"]):
            try:
                changes = rebuild_copy(repo=repo)
            except VcsError as error:
                failed.append(f"{repo.url_path[1:]}: {error}")
                continue
            n_repos += 1
            n_changed += bool(changes)
        self.stdout.write(f"{n_repos} repositories rebuilt, {n_changed} had lagged behind.")
        if failed:
            raise CommandError("Not rebuilt:\n" + "\n".join(failed))

    def _chosen(self, names: list[str]) -> list[Repo]:
        repos = Repo.objects.select_related("namespace").order_by("pk")
        if not names:
            return list(repos)
        return [self._named(name) for name in names]

    def _named(self, name: str) -> Repo:
        found = Repo.objects.named(*RepoType.split_address(name))
        repo = found.select_related("namespace").first()
        if repo is None:
            raise CommandError(f"There is no repository {name}.")
        return repo
