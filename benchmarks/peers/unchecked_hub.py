"""A hub that takes every upload, writes it to disk and checks nothing: the client's own ceiling.

`python -m benchmarks.peers.unchecked_hub PORT FOLDER`
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PIECE_BYTES = 1024**2
_REGULAR_BYTES = 10 * 1024**2
_names = itertools.count()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        if "xet-write-token" in self.path:
            base, expires = self._base(), int(time.time()) + 3600
            body = {"casUrl": f"{base}/cas", "accessToken": "any", "exp": expires}
            headers = {
                "X-Xet-Cas-Url": f"{base}/cas",
                "X-Xet-Access-Token": "any",
                "X-Xet-Token-Expiration": str(expires),
            }
            self._answer(200, body, headers)
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        if self.path.startswith("/cas/v1/xorbs/"):
            self._keep()
            self._answer(200, {"was_inserted": True})
            return
        body = self._read()
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": _mode(file), "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif self.path.endswith("/info/lfs/objects/batch"):
            self._answer(200, {"objects": [self._upload(o) for o in json.loads(body)["objects"]]})
        elif "/commit/" in self.path:
            sha = "0" * 40
            url = f"{self._base()}/bench/model/commit/{sha}"
            self._answer(200, {"commitUrl": url, "commitOid": sha})
        elif self.path.startswith("/cas/v1/shards"):
            self._answer(200, {"result": 1})
        elif self.path.startswith(("/cas/v2/", "/cas/v1/xorb-grants")):
            self._answer(404, {})
        else:
            self._answer(200, {})

    def do_PUT(self) -> None:
        self._keep()
        self._answer(200, {})

    def log_message(self, *args: Any) -> None:
        pass

    def _base(self) -> str:
        return f"http://{self.headers['Host']}"

    def _upload(self, item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "actions": {"upload": {"href": f"{self._base()}/put/{item['oid']}"}}}

    def _keep(self) -> None:
        left = int(self.headers["Content-Length"])
        with (self.folder / f"body-{next(_names)}").open("wb") as file:
            while left:
                piece = self.rfile.read(min(left, _PIECE_BYTES))
                file.write(piece)
                left -= len(piece)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._read_chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _mode(file: dict[str, Any]) -> str:
    is_text = b"\0" not in base64.b64decode(file["sample"])
    return "regular" if is_text and file["size"] < _REGULAR_BYTES else "lfs"


def main(port: int, folder: Path) -> None:
    Handler.folder = folder
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
