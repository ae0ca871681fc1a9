"""Fills a running site with the demo, through its public doors, in steps that can be repeated."""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from hub.actions.accounts import create_user
from hub.actions.organizations import create_organization
from hub.actions.tokens import create_token, revoke_token
from hub.models import Namespace, TokenScope, User

MAINTAINER = "maintainer"
OWNER = "demo"
LANGUAGES = f"{OWNER}/interface-languages"
DIGITS = f"{OWNER}/handwritten-digits"
BASE = f"{OWNER}/bert-tiny"
BENCHMARK_WAIT_S = 120
PROPOSED = """
## Limits

It was trained on English text and reads at most 512 tokens at a time.
"""

logger = logging.getLogger(__name__)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """A model of the demo: its id, its card, the benchmark it is measured on, how it is made."""

    repo_id: str
    card: str
    benchmark: str
    write: Callable[[Path, Path], None]
    """Called with the folder that holds the other demo folders, and the folder to fill."""


def ensure_maintainer(say: Say) -> User:
    """The demo's maintainer. A password nobody has used yet is replaced, so that a demo which was
    interrupted can show one again."""
    password = secrets.token_urlsafe(12)
    user = User.objects.filter(username=MAINTAINER).first()
    if user is None:
        user = create_user(username=MAINTAINER, password=password, is_maintainer=True)
    elif user.last_login is None:
        user.set_password(password)
        user.save(update_fields=["password"])
    else:
        return user
    say(f"Maintainer: sign in as “{MAINTAINER}” with password {password}")
    return user


def ensure_owner(maintainer: User) -> None:
    if not Namespace.objects.filter(name=OWNER).exists():
        create_organization(name=OWNER, full_name="Demo", acting_user=maintainer)


def seed(say: Say) -> None:
    """All of the demo. Data first, so that a newcomer has something to load within seconds."""
    maintainer = ensure_maintainer(say)
    ensure_owner(maintainer)
    with (
        tempfile.TemporaryDirectory(dir=settings.STAGING_DIR) as folder,
        _token(maintainer) as token,
    ):
        _Seeder(Path(folder), token, say).run()


@contextmanager
def _token(user: User) -> Iterator[str]:
    made = create_token(user=user, name="demo", scope=TokenScope.WRITE, is_internal=True)
    try:
        yield made.text
    finally:
        revoke_token(token=made.token, acting_user=None)


class _Seeder:
    """Holds what the steps share: a working folder, the client, a way to speak."""

    def __init__(self, folder: Path, token: str, say: Say) -> None:
        _prepare_client(folder / "client")
        from huggingface_hub import HfApi

        self.folder = folder
        self.token = token
        self.say = say
        self.api = HfApi(endpoint=settings.HUB_URL, token=token)

    def run(self) -> None:
        from config.demo import folders

        folders.write_language_data(self.folder / "languages")
        folders.write_base_model(self.folder / "base")
        folders.write_digit_data(self.folder / "digits")
        self.upload(LANGUAGES, "dataset", self.folder / "languages")
        self.upload(BASE, "model", self.folder / "base")
        self.upload(DIGITS, "dataset", self.folder / "digits")
        self.say(f"Demo: model {BASE} and data sets {LANGUAGES}, {DIGITS} are ready.")
        self.propose()
        for model in _models():
            self.make(model)
        self.say("Demo: complete. The worker measures the models now.")

    def propose(self) -> None:
        """A first pull request, so that the Community tab has something to look at."""
        if any(self.api.get_repo_discussions(BASE)):
            return
        card = self.folder / "base" / "README.md"
        self.api.upload_file(
            repo_id=BASE,
            path_or_fileobj=(card.read_text() + PROPOSED).encode(),
            path_in_repo="README.md",
            commit_message="Say what the base model cannot do",
            commit_description="Newcomers try it on *other languages* and on long texts first.",
            create_pr=True,
        )

    def make(self, model: Model) -> None:
        if not self.api.file_exists(model.repo_id, "model.safetensors"):
            from config.demo import folders

            self.say(f"Demo: training {model.repo_id} …")
            out = self.folder / model.repo_id.rpartition("/")[2]
            model.write(self.folder, out)
            folders.write_card(model.card, out)
            self.upload(model.repo_id, "model", out)
        self.evaluate(model)

    def upload(self, repo_id: str, repo_type: str, folder: Path) -> None:
        self.api.create_repo(repo_id, repo_type=repo_type, exist_ok=True)
        self.api.upload_folder(
            repo_id=repo_id,
            repo_type=repo_type,
            folder_path=folder,
            commit_message="Add the demo's files",
        )

    def evaluate(self, model: Model) -> None:
        """Starts a run, once the benchmark has been read from its data set."""
        deadline = time.monotonic() + BENCHMARK_WAIT_S
        while not self.start_run(model):
            if time.monotonic() > deadline:
                self.say(f"Demo: no benchmark {model.benchmark} yet; evaluate the model by hand.")
                return
            time.sleep(1)

    def start_run(self, model: Model) -> bool:
        body = json.dumps({"model": model.repo_id, "benchmark": model.benchmark}).encode()
        request = urllib.request.Request(  # noqa: S310  (our own address)
            f"{settings.HUB_URL}/api/v1/runs",
            data=body,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise RuntimeError(error.read().decode("utf-8", "replace")) from error


def _prepare_client(home: Path) -> None:
    """Points the client at an empty home and keeps it from talking. Before its first import."""
    os.environ |= {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    for name in ("httpx", "httpx2", "datasets"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _models() -> list[Model]:
    languages, digits = f"{LANGUAGES}/language-identification", f"{DIGITS}/digit-recognition"
    return [
        Model(f"{OWNER}/bert-tiny-languages-short", "languages-short", languages, _tune(steps=120)),
        Model(f"{OWNER}/digit-resnet", "digits-resnet", digits, _train_digits),
        Model(f"{OWNER}/bert-tiny-languages", "languages-tuned", languages, _tune(steps=400)),
    ]


def _tune(*, steps: int) -> Callable[[Path, Path], None]:
    def write(folder: Path, out: Path) -> None:
        from config.demo import training

        training.tune_languages(folder / "base", folder / "languages", out, steps=steps)

    return write


def _train_digits(folder: Path, out: Path) -> None:
    from config.demo import training

    training.train_digits(folder / "digits", out, steps=200)
