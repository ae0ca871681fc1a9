"""One POST to an address that was checked: no redirects, no proxy, a bound on time and on bytes."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Self

from contributions.webhooks.addresses import IPAddress, Target

MAX_RESPONSE_BYTES = 4096


class SendingFailed(Exception):
    """No answer came. `code`: connect, tls, timeout or protocol."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """What the receiver said: its status, and the first bytes of the body as text."""

    status: int
    text: str


def post(
    target: Target,
    addresses: Sequence[IPAddress],
    *,
    body: bytes,
    headers: Mapping[str, str],
    limit_s: float,
) -> Answer:
    """Sends `body` and gives the answer, all within `limit_s`.

    Args:
        addresses: where the host is; the first that takes a connection is the one.

    Raises:
        SendingFailed: nobody answered, or too late, or not in HTTP.
    """
    deadline = monotonic() + limit_s
    with _Watch(deadline) as watch:
        try:
            connection = _connect(target, addresses, deadline, watch)
            with closing(connection):
                connection.request("POST", target.path, body=body, headers=dict(headers))
                response = connection.getresponse()
                text = response.read(MAX_RESPONSE_BYTES).decode(errors="replace")
        except ssl.SSLError as error:
            raise SendingFailed("timeout" if watch.has_struck else "tls") from error
        except TimeoutError as error:
            raise SendingFailed("timeout") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SendingFailed("timeout" if watch.has_struck else "protocol") from error
    if watch.has_struck:
        raise SendingFailed("timeout")
    return Answer(response.status, text)


class _Watch:
    """Ends a socket at the deadline, also under a receiver that sends one byte now and then."""

    def __init__(self, deadline: float) -> None:
        self._timer = threading.Timer(max(deadline - monotonic(), 0), self._strike)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.has_struck = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def guard(self, guarded: socket.socket) -> None:
        self._socket = guarded
        if self.has_struck:
            self._strike()

    def _strike(self) -> None:
        self.has_struck = True
        if self._socket is not None:
            with suppress(OSError):
                # Of the plain socket: that of TLS would take its state from under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _connect(
    target: Target, addresses: Sequence[IPAddress], deadline: float, watch: _Watch
) -> http.client.HTTPConnection:
    """An open connection whose `Host`, and name in TLS, is that of the URL."""
    raw = _open_socket(target, addresses, deadline)
    watch.guard(raw)
    opened = raw
    if target.is_https:
        try:
            opened = ssl.create_default_context().wrap_socket(raw, server_hostname=target.host)
        except BaseException:
            raw.close()
            raise
        watch.guard(opened)
    kind = http.client.HTTPSConnection if target.is_https else http.client.HTTPConnection
    connection = kind(target.host, target.port)
    connection.sock = opened
    connection.auto_open = 0
    return connection


def _open_socket(target: Target, addresses: Sequence[IPAddress], deadline: float) -> socket.socket:
    for address in addresses:
        left = deadline - monotonic()
        if left <= 0:
            raise SendingFailed("timeout")
        try:
            # The address as text is taken as it is: there is nothing left to look up.
            return socket.create_connection((str(address), target.port), timeout=left)
        except OSError:
            continue
    raise SendingFailed("timeout" if deadline <= monotonic() else "connect")
