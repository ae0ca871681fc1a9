"""The lines of a commit or tag object."""

from datetime import UTC

from hub.vcs.values import Signature


def signature_line(author: Signature) -> str:
    """`Name <address> seconds +0000`, without the characters that would end a part early."""
    strip = str.maketrans("", "", "<>\n\r\0")
    name = author.name.encode("utf-8", "replace").decode().translate(strip).strip() or "unknown"
    email = author.email.encode("utf-8", "replace").decode().translate(strip).strip()
    seconds = max(0, int(author.when.astimezone(UTC).timestamp()))
    return f"{name} <{email}> {seconds} +0000"


def message_bytes(message: str) -> bytes:
    """The message as a commit or tag holds it: without NUL, with one line end."""
    return message.replace("\0", "").strip("\n").encode("utf-8", "replace") + b"\n"
