"""Answers of `git upload-pack` as streams; the process ends with the answer, whoever ends that."""

from __future__ import annotations

import logging
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

from django.conf import settings

from hub.errors import InvalidInput
from hub.githttp.bodies import blocks_of
from hub.githttp.pktline import FLUSH, Readable, encode
from hub.models import Repo
from hub.site import git_path
from hub.storage.folder import no_space_as_storage_full
from hub.vcs.gitprocess import GitProcess, ProcessLimits

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64 * 1024**2
"""Room for a million wanted objects, as a partial clone may ask for."""
IDLE_LIMIT_S = 300

_BLOCK_BYTES = 1 << 16
_VERSION = re.compile(r"version=[0-2]")


class UploadPack:
    """What `git upload-pack` writes, piece by piece. `close` ends it early.

    Args:
        protocol: the client's `Git-Protocol`.
    """

    def __init__(
        self,
        repo: Repo,
        protocol: str,
        *,
        options: Sequence[str] = (),
        stdin: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        argv = ["upload-pack", "--stateless-rpc", "--strict", f"--timeout={IDLE_LIMIT_S}"]
        version = _VERSION.search(protocol)
        self._process = GitProcess(
            [*argv, *options, str(git_path(repo))],
            limits=ProcessLimits(settings.GIT_MEMORY_LIMIT_BYTES, settings.GIT_TIME_LIMIT_S),
            stdin=stdin,
            variables={"GIT_PROTOCOL": version[0]} if version else {},
        )
        self._first = self._process.read(_BLOCK_BYTES)
        if not self._first and self._process.wait():
            logger.warning("git upload-pack of %s failed: %s", repo, self._process.errors())
            self._process.stop()
            raise InvalidInput("git could not make sense of this request.")

    def __iter__(self) -> Iterator[bytes]:
        data = self._first
        while data and not self._process.is_late():
            yield data
            data = self._process.read(_BLOCK_BYTES)

    def close(self) -> None:
        self._process.stop()


class Advertisement(UploadPack):
    """Which refs there are to fetch; to a client of protocol version 2, what it may ask."""

    def __init__(self, repo: Repo, protocol: str) -> None:
        super().__init__(repo, protocol, options=["--advertise-refs"])
        self._head = encode(b"# service=git-upload-pack\n") + FLUSH
        if "version=2" in protocol:
            self._head = b""

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        yield from super().__iter__()


def spool_request(stream: Readable) -> IO[bytes]:
    """The request in a nameless file. It is small, and git may answer before it has read it all.

    Raises:
        TooLarge, StorageFull
    """
    file = tempfile.TemporaryFile(dir=settings.STAGING_DIR)  # noqa: SIM115  (the caller closes it)
    try:
        with no_space_as_storage_full():
            for block in blocks_of(stream, max_bytes=MAX_REQUEST_BYTES):
                file.write(block)
            file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def asks_for_objects(request: IO[bytes]) -> bool:
    """Whether a spooled request wants objects, and not only a list of refs."""
    head = request.read(4096)
    request.seek(0)
    return b"command=fetch" in head or head[4:9] == b"want "
