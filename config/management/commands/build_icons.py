"""`manage.py build_icons`: one SVG file with the icons that the pages use."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

_SVG = re.compile(r'<svg[^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', re.DOTALL)


class Command(BaseCommand):
    help = "Builds config/static/img/icons.svg from node_modules and the names in icons.txt."

    def handle(self, *args: Any, **options: Any) -> None:
        folder = settings.BASE_DIR / "config" / "static" / "img"
        source = settings.BASE_DIR / "node_modules" / "bootstrap-icons" / "icons"
        names = sorted(set((folder / "icons.txt").read_text().split()))
        symbols = "\n".join(_symbol(source, name) for name in names)
        text = f'<svg xmlns="http://www.w3.org/2000/svg">\n{symbols}\n</svg>\n'
        (folder / "icons.svg").write_text(text)
        packed = gzip.compress(text.encode(), mtime=0)
        (folder / "icons.svg.gz").write_bytes(packed)
        self.stdout.write(f"{len(names)} icons, {len(text)} bytes, {len(packed)} packed")


def _symbol(source: Path, name: str) -> str:
    try:
        found = _SVG.search((source / f"{name}.svg").read_text())
    except FileNotFoundError:
        raise CommandError(f"bootstrap-icons has no “{name}”; is `npm ci` done?") from None
    if found is None:
        raise CommandError(f"“{name}” is not the kind of SVG we expect.")
    body = re.sub(r"\s+", " ", found.group(2)).strip()
    return f'<symbol id="{name}" viewBox="{found.group(1)}">{body}</symbol>'
