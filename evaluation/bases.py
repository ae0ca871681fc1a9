"""The base of an adapter: found in its own config, looked up on this hub, frozen to a commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hub.access import get_repo_for_contents
from hub.auth import Actor
from hub.errors import HubError, InvalidInput
from hub.models import Repo, RepoType
from hub.names import validate_repo_name
from hub.site import git_of
from hub.vcs import Repository
from hub.vcs.errors import VcsError
from ml_core.load.adapter_files import ADAPTER_CONFIG

WHOLE = frozenset({"model.safetensors", "model.safetensors.index.json"})
MAX_CONFIG_BYTES = 1 << 20
NO_BASE = (
    "The adapter's base {name!r} is not a model on this site that you may read. Push the base here "
    "and name it “namespace/name” in adapter_config.json (base_model_name_or_path), or give its "
    "name as “base” when you start."
)


@dataclass(frozen=True)
class Base:
    """A model at one commit, to which an adapter adds."""

    repo: Repo
    commit: str

    def to_json(self) -> dict[str, Any]:
        return {"repo": self.repo.full_name, "commit": self.commit}


def top_files(git: Repository, commit: str) -> set[str]:
    """Names of the files at the top of a commit."""
    return {entry.path for entry in git.tree(commit) if entry.kind == "file"}


def holds_adapter_alone(git: Repository, commit: str) -> bool:
    """Whether there is an adapter, and no weights of a whole model."""
    names = top_files(git, commit)
    return ADAPTER_CONFIG in names and not names & WHOLE


def find_base(actor: Actor, model: Repo, commit: str, asked: str = "") -> Base | None:
    """The base on which `model` is to be loaded; None where it is no adapter.

    One that the caller may not read looks like one that is not there.

    Args:
        asked: “namespace/name” of the base, where the adapter's own config is not to decide.

    Raises: InvalidInput: there is no such base, it is an adapter too, or `model` needs none.
    """
    git = git_of(model)
    if not holds_adapter_alone(git, commit):
        if asked:
            raise InvalidInput("A base was given for a model that is no adapter.")
        return None
    settings = {} if asked else _settings(git, commit)
    name = asked or settings.get("base_model_name_or_path")
    wanted = settings.get("revision") or "main"
    if not isinstance(name, str) or not isinstance(wanted, str):
        raise InvalidInput(NO_BASE.format(name=str(name)[:200]))
    repo = _readable(actor, name)
    base_git = git_of(repo)
    try:
        base = Base(repo, base_git.resolve(wanted))
    except (HubError, VcsError):
        raise InvalidInput(
            f"The adapter's base {repo.full_name} has no revision {wanted[:200]!r}."
        ) from None
    if holds_adapter_alone(base_git, base.commit):
        raise InvalidInput(
            f"The adapter's base {repo.full_name} is itself an adapter. Merge it into its own base "
            "first, and name the result as the base."
        )
    return base


def _readable(actor: Actor, name: str) -> Repo:
    namespace, slash, own = name.strip().partition("/")
    try:
        if not slash:
            raise InvalidInput(name)
        validate_repo_name(own)
        return get_repo_for_contents(actor, RepoType.MODEL, namespace, own)
    except HubError:
        raise InvalidInput(NO_BASE.format(name=name[:200])) from None


def _settings(git: Repository, commit: str) -> dict[str, Any]:
    try:
        found = json.loads(git.read(commit, ADAPTER_CONFIG, max_bytes=MAX_CONFIG_BYTES))
    except (ValueError, VcsError, RecursionError):
        raise InvalidInput(f"{ADAPTER_CONFIG} cannot be read as JSON.") from None
    return found if isinstance(found, dict) else {}
