"""The real git, with a home and a folder of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIT_TIMEOUT_S = 240
_NAMES = {
    f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


@dataclass
class Git:
    """Runs git in `folder`, made when missing; knows no configuration but its own."""

    folder: Path
    home: Path

    def run(
        self, *argv: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """The finished command, whatever became of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        own = {"HOME": str(self.home), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        own |= {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(
            ["git", "-c", "init.defaultBranch=main", *argv],
            cwd=self.folder, env={**own, **_NAMES, **(env or {})},
            input=stdin, capture_output=True, timeout=GIT_TIMEOUT_S,
        )  # fmt: skip

    def bytes(self, *argv: str, stdin: bytes = b"") -> bytes:
        """The output of a command that must succeed."""
        done = self.run(*argv, stdin=stdin)
        assert done.returncode == 0, (argv, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    def __call__(self, *argv: str, stdin: bytes = b"") -> str:
        """As `bytes`, as text without the space around it."""
        return self.bytes(*argv, stdin=stdin).decode("utf-8", "replace").strip()

    def refused(self, *argv: str) -> str:
        """What a command that must fail says on the terminal."""
        done = self.run(*argv)
        assert done.returncode != 0, (argv, done.stdout[-2000:], done.stderr[-2000:])
        return done.stderr.decode("utf-8", "replace")

    def write(self, name: str, data: bytes | str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    def commit(self, files: dict[str, bytes | str], message: str = "Change") -> str:
        """The id of a new commit with these files."""
        for name, data in files.items():
            self.write(name, data)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", message)
        return self("rev-parse", "HEAD")

    # Plumbing, for what git itself would not make

    def blob(self, data: bytes) -> str:
        return self("hash-object", "-w", "--stdin", stdin=data)

    def tree(self, *rows: tuple[str, bytes, str]) -> str:
        """The id of a tree of rows (octal mode, name, id), however wrong they are."""
        data = b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in rows
        )
        return self("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data)

    def commit_tree(self, tree: str, *parents: str) -> str:
        options = [part for parent in parents for part in ("-p", parent)]
        return self("commit-tree", tree, *options, "-m", "made by hand")

    def dated_commit(self, seconds: int) -> str:
        """The id of a commit like HEAD, on top of it, that claims to be from any moment."""
        tree, parent = self("rev-parse", "HEAD^{tree}", "HEAD").split()
        who = f"A <a@b.c> {seconds} +0000"
        text = f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nby hand\n"
        options = ("-t", "commit", "-w", "--stdin", "--literally")
        return self("hash-object", *options, stdin=text.encode())

    def pack(self, *revisions: str, options: tuple[str, ...] = ("--thin",)) -> bytes:
        """A pack of what these revisions lead to; `^revision` leaves out what is known."""
        wanted = "\n".join(revisions).encode() + b"\n"
        argv = ["pack-objects", "--revs", *options, "--stdout", "-q"]
        return self.bytes(*argv, stdin=wanted)
