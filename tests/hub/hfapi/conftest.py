"""Calling the Hub API as clients do: quoted paths, JSON and line bodies."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest
from django.test import Client

from tests.support.cast import Cast, client_with


class HubApi:
    """A test client that keeps `%2F` in addresses, as a real server does."""

    def __init__(self, token: str | None) -> None:
        self.client: Client = client_with(token)

    def get(self, path: str, **extra: Any) -> Any:
        return self.client.get(path, RAW_URI=path, **extra)

    def head(self, path: str) -> Any:
        return self.client.head(path, RAW_URI=path)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """`body` as JSON; bytes are sent as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        call = getattr(self.client, method.lower())
        return call(path, data, content_type="application/json", RAW_URI=path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, body)

    def commit(self, path: str, lines: Iterable[Any]) -> Any:
        data = b"\n".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
        )
        return self.client.post(path, data, content_type="application/x-ndjson", RAW_URI=path)


def header(summary: str = "A commit", **more: Any) -> dict[str, Any]:
    return {"key": "header", "value": {"summary": summary, "description": "", **more}}


def file_line(path: str, content: bytes) -> dict[str, Any]:
    text = base64.b64encode(content).decode()
    return {"key": "file", "value": {"path": path, "content": text, "encoding": "base64"}}


def large_line(path: str, oid: str, size: int | None = None) -> dict[str, Any]:
    value: dict[str, Any] = {"path": path, "algo": "sha256", "oid": oid}
    return {"key": "lfsFile", "value": value | ({"size": size} if size is not None else {})}


@pytest.fixture
def owner_api(cast: Cast) -> HubApi:
    return HubApi(cast.token("owner"))


@pytest.fixture
def stranger_api(cast: Cast) -> HubApi:
    return HubApi(cast.token("stranger"))


@pytest.fixture
def anonymous_api(db: None) -> HubApi:
    return HubApi(None)
