from __future__ import annotations

import base64
import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from evaluation.actions.records import instance_key, keep_key
from ml_core.verify.signing import key_id_of, load_private_key, public_bytes


class Command(BaseCommand):
    help = (
        "Makes a new key for signing records. What the old one signed stays valid: its public half"
        " stays listed at /.well-known/modelguild-keys.json. Restart the site afterwards."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it, instead of saying what")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        path = Path(settings.SECRETS_DIR) / "instance_key"
        if os.environ.get("INSTANCE_KEY") or os.environ.get("INSTANCE_KEY_FILE"):
            raise CommandError(
                "The key comes from INSTANCE_KEY in the environment: set another there (32 random"
                " bytes in base64) and restart."
            )
        old = instance_key()["key_id"]
        if not yes:
            self.stdout.write(f"Would retire key {old} and write a new one to {path}. Add --yes.")
            return
        keep_key(key_id=old)
        secret = base64.b64encode(os.urandom(32)).decode()
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret)
        partial.replace(path)
        new = key_id_of(public_bytes(load_private_key(secret)))
        self.stdout.write(f"Key {old} is retired, {new} signs once the site has restarted.")
