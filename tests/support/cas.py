"""A client of the content-addressed store, for tests without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

from hub.models import Repo, TokenScope, User
from hub.xet.hashing import format_hash
from tests.support.cast import client_with
from tests.support.factories import make_token
from tests.support.xet import MadeXorb

BINARY = "application/octet-stream"


@dataclass
class CasClient:
    """Speaks to the CAS with one token, as hf-xet does."""

    http: Client

    @classmethod
    def for_repo(cls, user: User | None, repo: Repo, scope: str = "write") -> CasClient:
        """A client with a fresh token of the token route."""
        hub = client_with(make_token(user, scope=TokenScope.WRITE) if user else None)
        answer = hub.get(f"{repo.api_path}/xet-{scope}-token/main")
        assert answer.status_code == 200, answer.content
        return cls(client_with(answer.json()["accessToken"]))

    def put_xorb(self, xorb: MadeXorb, body: bytes | None = None) -> Any:
        return self.put_body(format_hash(xorb.hash), xorb.body if body is None else body)

    def put_body(self, name: str, body: bytes) -> Any:
        return self.http.post(f"/cas/v1/xorbs/default/{name}", body, content_type=BINARY)

    def put_shard(self, body: bytes, version: int = 1) -> Any:
        return self.http.post(f"/cas/v{version}/shards", body, content_type=BINARY)

    def shard_events(self, body: bytes) -> list[dict[str, Any]]:
        answer = self.put_shard(body, version=2)
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.getvalue().splitlines()]

    def reconstruction(self, file_hash: bytes, header: str | None = None, version: int = 2) -> Any:
        headers = {"range": header} if header else {}
        path = f"/cas/v{version}/reconstructions/{format_hash(file_hash)}"
        return self.http.get(path, headers=headers)

    def query_chunk(self, chunk_hash: bytes, prefix: str = "default") -> Any:
        return self.http.get(f"/cas/v1/chunks/{prefix}/{format_hash(chunk_hash)}")
