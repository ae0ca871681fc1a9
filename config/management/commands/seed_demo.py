from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.demo.seed import seed


class Command(BaseCommand):
    help = (
        "Fills the running site with demo models, data sets and runs. Uses the official client;"
        " can be run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        seed(self._say)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
