"""A whole site in processes of its own, for clients and browsers to meet."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config import embedded_valkey

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
_CELERY = [sys.executable, "-m", "celery", "-A", "config"]


class SiteError(AssertionError):
    """A process of the site did not do what the test asked for; the text has its output."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    condition: Callable[[], Any], *, what: str, timeout_s: float = 30, pause_s: float = 0.05
) -> Any:
    """The first true answer of `condition`; fails with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise SiteError(f"waited {timeout_s:g} s for {what}")
        time.sleep(pause_s)


@dataclass
class LiveSite:
    """gunicorn on a free port over its own data folder; workers on request."""

    data_dir: Path
    port: int
    env: dict[str, str]
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _driver: subprocess.Popen[str] | None = None
    _broker: embedded_valkey.EmbeddedValkey | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @contextmanager
    def started(
        cls, data_dir: Path, *, extra_env: Mapping[str, str] | None = None
    ) -> Iterator[LiveSite]:
        """A migrated site that answers; all its processes end with the block."""
        site = cls(data_dir=data_dir, port=free_port(), env={})
        with _database(data_dir) as database_url:
            site.env = site._environment(database_url, extra_env or {})
            try:
                site._start_broker()
                site.run_command("migrate", "--verbosity=0")
                site.start_web()
                yield site
            finally:
                site.stop()

    # --- processes ------------------------------------------------------------------------

    def start_web(self) -> None:
        argv = ["-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi:application"]
        self._start("web", [sys.executable, *argv])
        wait_for(self._answers, what=f"the web server\n{self.log('web')}", timeout_s=60)

    def start_workers(self) -> None:
        """Celery for both queues, and beat. A second call does nothing."""
        if "worker-hub" in self._processes:
            return
        for queue in ("hub", "evaluate"):
            self._start_worker(queue)
        schedule = str(self.data_dir / "beat-schedule")
        self._start("beat", [*_CELERY, "beat", "--schedule", schedule, "--pidfile="])
        for queue in ("hub", "evaluate"):
            self._wait_for_worker(queue, times=1)

    def restart_worker(self, queue: str) -> None:
        """Another worker in place of one that was killed."""
        times = self.log(f"worker-{queue}").count(" ready.") + 1
        self._start_worker(queue)
        self._wait_for_worker(queue, times=times)

    def start_another_worker(self, number: int) -> str:
        """One more worker for runs, beside that of `start_workers`; the name of its process."""
        self._start_worker("evaluate", f"-{number}")
        self._wait_for_worker(f"evaluate-{number}", times=1)
        return f"worker-evaluate-{number}"

    def _start_worker(self, queue: str, suffix: str = "") -> None:
        argv = ["worker", "--queues", queue, "--hostname", f"{queue}{suffix}@{self.port}"]
        argv += ["--concurrency", "1", "--loglevel", "INFO"]
        self._start(f"worker-{queue}{suffix}", [*_CELERY, *argv])

    def _wait_for_worker(self, queue: str, *, times: int) -> None:
        name = f"worker-{queue}"
        wait_for(
            lambda: self.log(name).count(" ready.") >= times,
            what=f"{name} to be ready\n{self.log(name)}",
            timeout_s=START_TIMEOUT_S,
        )

    def end(self, name: str, *, timeout_s: float = 15) -> None:
        """SIGTERM to the process `name`, as a supervisor stops it, and waits for its end."""
        process = self._processes.pop(name)
        process.terminate()
        process.wait(timeout_s)
        _kill_group(process)

    def kill(self, name: str) -> None:
        """SIGKILL to the process `name` and to all it started, as a power cut would."""
        process = self._processes.pop(name)
        _kill_group(process)

    def restart_web(self) -> None:
        if "web" in self._processes:
            self.kill("web")
        self.start_web()

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def log(self, name: str) -> str:
        path = self.data_dir / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        if self._driver:
            self._driver.kill()
            self._driver.communicate()
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in reversed(self._processes.values()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            _kill_group(process)
        self._processes.clear()

    # --- talking to it --------------------------------------------------------------------

    def run_command(
        self, *argv: str, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`manage.py ARGV` against this site."""
        done = subprocess.run(
            [sys.executable, "manage.py", *argv],
            cwd=ROOT, env=self.env, input=stdin, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        if check and done.returncode:
            raise SiteError(f"manage.py {' '.join(argv)}: {done.returncode}\n{done.stderr}")
        return done

    def execute(self, code: str, **names: Any) -> Any:
        """What `code` leaves in `result`, run inside the site's Django; JSON both ways."""
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        driver = self._driver or self._start_driver()
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps(given + code) + "\n")
        driver.stdin.flush()
        line = driver.stdout.readline()
        if not line:
            raise SiteError(f"the driver ended\n{self.log('driver')}")
        reply = json.loads(line)
        if "error" in reply:
            raise SiteError(reply["error"])
        return reply["result"]

    def create_user(
        self, name: str, *, password: str | None = None, is_maintainer: bool = False
    ) -> str:
        """A new user; returns the name."""
        self.execute(
            "from hub.actions.accounts import create_user\n"
            "create_user(username=name, email=f'{name}@example.org', password=password,"
            " is_maintainer=is_maintainer)",
            name=name, password=password, is_maintainer=is_maintainer,
        )  # fmt: skip
        return name

    def create_token(self, name: str, *, scope: str = "write") -> str:
        """The text of a new token of the user `name`."""
        return self.execute(
            "from hub.actions.tokens import create_token\n"
            "from hub.models import User\n"
            "user = User.objects.get(username=name)\n"
            "result = create_token(user=user, name='live', scope=scope).text",
            name=name, scope=scope,
        )  # fmt: skip

    def user_with_token(self, name: str, *, scope: str = "write") -> str:
        """The token of a new user `name`."""
        return self.create_token(self.create_user(name), scope=scope)

    def client_env(self, token: str | None = None, **more: str) -> dict[str, str]:
        """Environment for an unmodified Hub client: this endpoint, and a cache of its own."""
        keep = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        home = self.data_dir / "client-home"
        home.mkdir(exist_ok=True)
        env = {**keep, "HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": self.base_url}
        env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return {**env, **({"HF_TOKEN": token} if token else {}), **more}

    # --- inside ---------------------------------------------------------------------------

    def _environment(self, database_url: str, extra: Mapping[str, str]) -> dict[str, str]:
        drop = {"DJANGO_SETTINGS_MODULE", "MODELGUILD_DATA", "DATABASE_URL", "REDIS_URL"}
        kept = {key: value for key, value in os.environ.items() if key not in drop}
        own = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "MODELGUILD_DATA": str(self.data_dir),
            "PORT": str(self.port),
            "WEB_WORKERS": "1",
            "WEB_GRACE_S": "2",
            "REMAP_SIGTERM": "SIGQUIT",
            "PYTHONUNBUFFERED": "1",
            "WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        }
        database = {"DATABASE_URL": database_url} if database_url else {}
        return {**kept, **own, **database, **extra}

    def restart_broker(self) -> None:
        """Valkey again at its old address, with nothing of what it knew."""
        if "valkey" in self._processes:
            self.kill("valkey")
        assert self._broker is not None
        self._start("valkey", list(self._broker.argv))
        wait_for(self._broker.answers, what="Valkey")

    def _start_broker(self) -> None:
        """A Valkey of the site's own, whatever REDIS_URL says: tasks, counts and caches that name
        rows of one site's database must not reach another's."""
        secrets_dir = self.data_dir / "secrets"
        valkey = embedded_valkey.prepare(data_dir=self.data_dir, secrets_dir=secrets_dir)
        self._broker = valkey
        self._start("valkey", list(valkey.argv))
        wait_for(valkey.answers, what="Valkey")
        self.env["REDIS_URL"] = valkey.url

    def _start(self, name: str, argv: list[str]) -> None:
        folder = self.data_dir / "logs"
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                argv, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _start_driver(self) -> subprocess.Popen[str]:
        with (self.data_dir / "logs" / "driver.log").open("ab") as log:
            self._driver = subprocess.Popen(
                [sys.executable, "-m", "tests.support.driver"], cwd=ROOT, env=self.env,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        return self._driver

    def _answers(self) -> bool:
        if self._processes["web"].poll() is not None:
            raise SiteError(f"the web server ended\n{self.log('web')}")
        try:
            with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False


@contextmanager
def _database(data_dir: Path) -> Iterator[str]:
    """A database of the site's own on the server of `DATABASE_URL`; "" means its SQLite file."""
    given = os.environ.get("DATABASE_URL", "")
    if not given.startswith(("postgres://", "postgresql://")):
        yield ""
        return
    import psycopg

    name = f"modelguild_live_{os.getpid()}_{free_port()}"
    admin = urlsplit(given)._replace(scheme="postgresql", path="/postgres").geturl()
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlsplit(given)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
