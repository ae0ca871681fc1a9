"""A child that lets hf_xet chunk and compress one file: `python -m hub.xet.encode FILE OUT`.

The client's own encoder writes into a folder; an upstream test backend, so its output is believed
no more than a stranger's upload. A process of its own, because the encoder keeps threads, caches
and an embedded database.
"""

from __future__ import annotations

import sys
from pathlib import Path


def encode(source: Path, out: Path) -> None:
    """Write the xorbs and the shard of `source` below `out`."""
    import hf_xet

    session = hf_xet.XetSession()
    with session.new_upload_commit(endpoint=f"local://{out}") as commit:
        commit.start_upload_file(str(source))


if __name__ == "__main__":
    encode(Path(sys.argv[1]), Path(sys.argv[2]))
