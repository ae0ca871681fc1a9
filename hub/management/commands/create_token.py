from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from hub.actions.tokens import Grant, create_token
from hub.errors import HubError
from hub.models import Repo, RepoType, TokenScope, User


class Command(BaseCommand):
    help = "Makes an access token of a user and prints it, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the user")
        parser.add_argument("--scope", choices=TokenScope.values, required=True)
        parser.add_argument("--label", default="command line", help="how the token is listed")
        parser.add_argument(
            "--repo",
            action="append",
            default=[],
            metavar="[datasets/|spaces/]NAMESPACE/NAME[:write]",
            help="a repository that a fine-grained token reaches; may be given again",
        )
        parser.add_argument("--days", type=int, help="ends after so many days")

    def handle(self, *args: Any, name: str, scope: str, **options: Any) -> None:
        user = User.objects.filter(username__iexact=name).first()
        if user is None:
            raise CommandError(f"There is no user “{name}”.")
        days = options["days"]
        try:
            made = create_token(
                user=user,
                name=options["label"],
                scope=scope,
                grants=[_grant(text) for text in options["repo"]],
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except HubError as error:
            raise CommandError(error.message) from None
        self.stdout.write(made.text)


def _grant(text: str) -> Grant:
    """The grant that `[datasets/|spaces/]NAMESPACE/NAME[:write]` asks for."""
    ident, _, right = text.partition(":")
    if right not in ("", "read", "write"):
        raise CommandError(f"After the colon of “{text}” comes read or write.")
    repo_type, namespace, name = RepoType.split_address(ident)
    repo = Repo.objects.named(repo_type, namespace, name).first()
    if repo is None:
        raise CommandError(f"There is no {repo_type} “{namespace}/{name}”.")
    return Grant(repo=repo, can_write=right == "write")
