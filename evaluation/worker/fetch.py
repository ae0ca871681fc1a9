"""Fetching from the hub, as any other client would: with `huggingface_hub` and a read token."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from evaluation.errors import JobFailed

MODEL_PATTERNS = (
    "*.safetensors",
    "*.json",
    "*.txt",
    "*.model",
    "*.spm",
    "*.jinja",
    "*.codes",
)
"""Of a model's top folder: weights that are safe to read, configs, tokenizer files."""
MODEL_FILES_BELOW = ("1_Pooling/config.json",)
"""Of folders below it: how an embedding is made of its tokens."""
NAMED_ONLY = (
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".keras"),
    *(".gguf", ".onnx"),
)
"""Never fetched; an empty file of the name lets the job say why it cannot use the model."""
MAX_FILES = 50_000


@dataclass(frozen=True)
class Source:
    """One repository at one commit, and how to reach it."""

    repo_id: str
    repo_type: str
    commit: str
    endpoint: str
    token: str
    cache_dir: Path


@dataclass(frozen=True)
class RemoteFile:
    path: str
    size_bytes: int


def list_files(source: Source) -> list[RemoteFile]:
    """The files of `source`; asks the hub each time, so that a right withdrawn is felt.

    Of a gated repository everybody may list the files, so the right to what they hold is asked for
    by itself: what is cached already would be used without asking.

    Raises:
        JobFailed: the hub cannot be reached, or says no.
    """
    api = HfApi(endpoint=source.endpoint, token=source.token)
    with hub_errors(source):
        api.auth_check(source.repo_id, repo_type=source.repo_type)
        tree = api.list_repo_tree(
            source.repo_id, recursive=True, revision=source.commit, repo_type=source.repo_type
        )
        files: list[RemoteFile] = []
        for entry in tree:
            size = getattr(entry, "size", None)
            if size is not None:
                files.append(RemoteFile(entry.path, size))
            if len(files) > MAX_FILES:
                raise JobFailed(
                    "user", "too_many_files", f"The repository has more than {MAX_FILES} files."
                )
    return files


def fetch_files(source: Source, paths: Sequence[str], folder: Path) -> list[Path]:
    """The files `paths` of `source` below `folder`, as plain files, in that order.

    They come through the client's cache, which is linked to, so that a second run of the same
    files costs neither time nor space.

    Raises:
        JobFailed: as `list_files`, or the disk is full.
    """
    with hub_errors(source):
        snapshot = Path(
            snapshot_download(
                source.repo_id,
                repo_type=source.repo_type,
                revision=source.commit,
                endpoint=source.endpoint,
                token=source.token,
                cache_dir=source.cache_dir,
                allow_patterns=[glob.escape(path) for path in paths],
            )
        )
        return [_place(snapshot / path, folder / path) for path in paths]


def fetch_model(source: Source, folder: Path, *, also: Sequence[str] = ()) -> list[str]:
    """The files of a model that an evaluation may need, in `folder`; returns their paths.

    Args:
        also: patterns of further files at the top, which whoever opens them must take for hostile.
    """
    found = list_files(source)
    top = [file for file in found if "/" not in file.path]
    patterns = (*MODEL_PATTERNS, *also)
    wanted = [f.path for f in top if any(fnmatchcase(f.path, p) for p in patterns)]
    wanted += [file.path for file in found if file.path in MODEL_FILES_BELOW]
    _check_space(sum(f.size_bytes for f in found if f.path in wanted), folder)
    if wanted:
        fetch_files(source, wanted, folder)
    for file in top:
        if file.path not in wanted and file.path.lower().endswith(NAMED_ONLY):
            (folder / file.path).touch()
    return wanted


@contextmanager
def hub_errors(source: Source) -> Iterator[None]:
    """Turns what the client raises into the two families that a run knows."""
    where = {"repo": source.repo_id, "commit": source.commit}
    try:
        yield
    except RevisionNotFoundError as error:
        text = f"{source.repo_id} no longer has the commit {source.commit}."
        raise JobFailed("user", "commit_missing", text, **where) from error
    except (RepositoryNotFoundError, GatedRepoError) as error:
        text = f"{source.repo_id} is gone, or its owner may no longer read it."
        raise JobFailed("user", "no_access", text, **where) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError) as error:
        text = f"The hub did not answer as it should: {type(error).__name__}."
        raise JobFailed("system", "hub_unreachable", text, **where) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise JobFailed("system", "disk_full", "The worker's disk is full.") from error
        raise


def _place(cached: Path, target: Path) -> Path:
    """A plain file at `target` with the content of `cached`: linked, copied across disks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    original = cached.resolve()
    try:
        os.link(original, target)
    except FileExistsError:
        pass
    except OSError:
        shutil.copyfile(original, target)
    return target


def _check_space(size_bytes: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size_bytes > free:
        raise JobFailed("system", "disk_full", f"{size_bytes:,} bytes wanted, {free:,} free.")
