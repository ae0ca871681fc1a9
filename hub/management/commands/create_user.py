from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from hub.actions.accounts import create_user
from hub.errors import HubError


class Command(BaseCommand):
    help = "Makes a user. Without a password the account can only use tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--email", default="")
        parser.add_argument("--maintainer", action="store_true", help="may use the admin dashboard")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from the first line of standard input",
        )

    def handle(self, *args: Any, name: str, email: str, maintainer: bool, **options: Any) -> None:
        password = _read_password(from_stdin=options["password_stdin"])
        try:
            user = create_user(
                username=name, email=email, password=password, is_maintainer=maintainer
            )
        except HubError as error:
            raise CommandError(error.message) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        kind = "maintainer" if maintainer else "user"
        note = "" if password else " without a password"
        self.stdout.write(f"Made the {kind} {user.username}{note}.")


def _read_password(*, from_stdin: bool) -> str | None:
    """The password given; None for an account without one. Never echoed, never an argument."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandError("Standard input held no password.")
        return password
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    password = getpass.getpass("Password (empty for none): ")
    if password and getpass.getpass("Once more: ") != password:
        raise CommandError("The two passwords differ.")
    return password or None
