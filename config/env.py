"""Typed readers for environment variables and secret files.

Everything that varies between installations comes through here; a bad value
raises `ImproperlyConfigured` while the process starts, not later.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.FileAwareEnv()
"""django-environ reader; `NAME_FILE` names a file that holds the value of `NAME`."""


def secret(name: str, *, directory: Path, generate: Callable[[], str] | None = None) -> str:
    """The secret called `name`: from the environment, else a file made on first use.

    The file is `directory/name` in lower case with mode 0600. It is created exclusively, so
    that processes which start together agree on one value.

    Raises:
        ImproperlyConfigured: the file exists but is empty.
    """
    given: str = env.str(name, default="")
    if given:
        return given
    path = directory / name.lower()
    if not path.exists():
        _create_secret(path, (generate or _random_text)())
    value = path.read_text().strip()
    if not value:
        raise ImproperlyConfigured(f"{path} is empty: delete it to have a new secret made.")
    return value


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def rate(name: str, *, default: str) -> tuple[int, int] | None:
    """A limit such as `30/h` or `5/10m`: how many, and in how many seconds; `0` for no limit.

    Raises:
        ImproperlyConfigured: anything else.
    """
    text: str = env.str(name, default=default)
    if text == "0":
        return None
    found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,5})?([smhd])", text)
    if found is None:
        raise ImproperlyConfigured(f"{name} is {text!r}; write such as 30/h, 5/10m, or 0.")
    return int(found[1]), int(found[2] or 1) * _UNITS_S[found[3]]


_UNITS_BYTES = {"M": 1 << 20, "G": 1 << 30}


def sizes(name: str, *, default: dict[str, int]) -> dict[str, int]:
    """Bytes by name, in the order given, such as `cpu=8G,gpu=512M`.

    Raises:
        ImproperlyConfigured: anything else.
    """
    text: str = env.str(name, default="")
    if not text:
        return default
    found: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"([a-z][a-z0-9-]{0,31})=([1-9]\d{0,6})([MG])", part.strip())
        if match is None or match[1] in found:
            raise ImproperlyConfigured(f"{name} has {part!r}; write such as cpu=8G,gpu=64G.")
        found[match[1]] = int(match[2]) * _UNITS_BYTES[match[3]]
    return found


def _random_text() -> str:
    return secrets.token_urlsafe(48)


def _create_secret(path: Path, value: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
