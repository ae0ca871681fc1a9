"""A door before a server that counts the bytes which clients send."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE_BYTES = 256 * 1024


class CountingProxy:
    """Listens on a free port and passes everything to `port`, both ways."""

    def __init__(self, port: int) -> None:
        self.bytes_in = 0
        self._port = port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for source, target, counted in ((client, server, True), (server, client, False)):
                    argv = (source, target, counted)
                    threading.Thread(target=self._pass_on, args=argv, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                target.sendall(piece)
                if counted:
                    with self._lock:
                        self.bytes_in += len(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
