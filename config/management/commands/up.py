from __future__ import annotations

import fcntl
import os
import socket
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from config import embedded_valkey
from config.supervisor import Program, StartFailed, Supervisor

READY_TIMEOUT_S = 180


class Command(BaseCommand):
    help = (
        "Runs the whole site on this machine: web server, workers, beat and, unless REDIS_URL is"
        " set, an embedded Valkey. Ctrl-C stops all of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="start without the demo")
        parser.add_argument("--no-workers", action="store_true", help="serve pages and files only")

    def handle(self, *args: Any, no_demo: bool, no_workers: bool, **options: Any) -> None:
        lock = _take_lock(settings.DATA_DIR / "up.lock")
        _check_port(_host(), settings.PORT)
        _migrate()
        supervisor = Supervisor(say=self._say)
        supervisor.listen_to_signals()
        try:
            env = self._start_broker(supervisor)
            self._start_web(supervisor, env)
            if not no_workers:
                self._start_workers(supervisor, env)
            if not no_demo and _wants_demo():
                self._start_seed(supervisor, env)
            supervisor.run()
        except StartFailed as failure:
            raise CommandError(str(failure)) from None
        except KeyboardInterrupt:
            pass
        finally:
            self._say("Stopping …")
            supervisor.stop()
            embedded_valkey.withdraw(data_dir=settings.DATA_DIR)
            os.close(lock)
        self._say("Stopped. Your data is in " + str(settings.DATA_DIR))

    def _start_broker(self, supervisor: Supervisor) -> dict[str, str]:
        """Starts Valkey where needed; returns the environment of the other programs."""
        env = {**os.environ, "PORT": str(settings.PORT), "PYTHONUNBUFFERED": "1"}
        env["MODELGUILD_DATA"] = str(settings.DATA_DIR)
        if os.environ.get("REDIS_URL"):
            return env
        embedded_valkey.withdraw(data_dir=settings.DATA_DIR)
        valkey = embedded_valkey.prepare(
            data_dir=settings.DATA_DIR, secrets_dir=settings.SECRETS_DIR
        )
        supervisor.start(_program("valkey", valkey.argv, env, is_foundation=True))
        supervisor.wait_until(valkey.answers, name="valkey", timeout_s=READY_TIMEOUT_S)
        embedded_valkey.announce(valkey.url, data_dir=settings.DATA_DIR)
        return {**env, "REDIS_URL": valkey.url}

    def _start_web(self, supervisor: Supervisor, env: dict[str, str]) -> None:
        argv = ("-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi:application")
        supervisor.start(_program("web", (sys.executable, *argv), env))
        address = f"http://127.0.0.1:{settings.PORT}"
        supervisor.wait_until(partial(_answers, address), name="web", timeout_s=READY_TIMEOUT_S)
        self._say(f"ModelGuild is at {settings.PUBLIC_URL or f'http://localhost:{settings.PORT}'}")
        self._say(f"Logs: {settings.DATA_DIR / 'logs'}. Ctrl-C stops everything.")

    def _start_workers(self, supervisor: Supervisor, env: dict[str, str]) -> None:
        """One worker for short work and one for runs, so that a long run delays no scan."""
        env = {**env, "REMAP_SIGTERM": "SIGQUIT"}
        celery = (sys.executable, "-m", "celery", "-A", "config")
        for queue, slots in (("evaluate", 1), ("hub", 2)):
            argv = (
                *(*celery, "worker", "--queues", queue, "--hostname", f"{queue}@%h"),
                *("--concurrency", str(slots), "--without-mingle", "--without-gossip"),
            )
            supervisor.start(_program(f"worker-{queue}", argv, env, stop_timeout_s=15))
        schedule = str(settings.DATA_DIR / "beat-schedule")
        supervisor.start(
            _program("beat", (*celery, "beat", "--schedule", schedule, "--pidfile="), env)
        )

    def _start_seed(self, supervisor: Supervisor, env: dict[str, str]) -> None:
        """Seeds the demo beside the running site. It speaks to the terminal, never to a log: it
        prints a password."""
        program = Program(
            name="demo",
            argv=(sys.executable, "manage.py", "seed_demo"),
            env=env,
            log_path=None,
            is_restarted=False,
            on_success=_demo_mark().touch,
        )
        supervisor.start(program)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _program(name: str, argv: tuple[str, ...], env: dict[str, str], **options: Any) -> Program:
    return Program(name, argv, env, settings.DATA_DIR / "logs" / f"{name}.log", **options)


def _host() -> str:
    return os.environ.get("HOST", "127.0.0.1")


def _take_lock(path: Path) -> int:
    """Descriptor of a lock on the data folder, held until it is closed.

    Raises:
        CommandError: another `up` holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode() or "another process"
        os.close(descriptor)
        raise CommandError(
            f"ModelGuild already runs on {path.parent}: {holder}. Stop it first, or set"
            " MODELGUILD_DATA to another folder (and PORT to another port)."
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}, port {settings.PORT}".encode())
    return descriptor


def _check_port(host: str, port: int) -> None:
    """Raises `CommandError` when something listens there already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} on {host} cannot be used ({error.strerror}). Choose another:"
                f" PORT={port + 1} make run"
            ) from None


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
    connections.close_all()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _demo_mark() -> Path:
    return Path(settings.DATA_DIR) / "demo-seeded"


def _wants_demo() -> bool:
    return "seed_demo" in get_commands() and not _demo_mark().exists()
