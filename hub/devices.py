"""How people read and write the codes of machines that log in, and who such a machine is. Pure."""

from __future__ import annotations

import re

_CLIENTS = {"26be6b09-91c5-47da-9861-d2d2bb7a7e36": "huggingface_hub"}
_SHOWN_CHARS = 80


def shown_code(user_code: str) -> str:
    """`BCDFGHJK` as `BCDF-GHJK`."""
    return f"{user_code[:4]}-{user_code[4:]}"


def read_code(typed: str) -> str:
    """What somebody typed, as it is stored: any case, anything between the letters."""
    return re.sub(r"[^A-Z]", "", typed.upper())[:20]


def program_of(client_id: str, agent: str) -> str:
    """The program that calls, by its own account: `huggingface_hub (python-httpx2/2.3.0)`."""
    name, agent = _CLIENTS.get(client_id, ""), agent[:_SHOWN_CHARS]
    return f"{name} ({agent})" if name and agent else name or agent
