"""Public keys of the instances that sign records."""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from ml_core.verify.signing import key_id_of

MAX_KEYS_BYTES = 1 << 20
KEY_BYTES = 32


def read_keys(given: str) -> dict[str, bytes]:
    """Keys by id from base64, or from a file that holds base64 or an instance's list of keys.

    Raises:
        ValueError: it is none of these.
    """
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8")[:MAX_KEYS_BYTES] if path.is_file() else given
    except (OSError, UnicodeDecodeError):
        text = given
    try:
        return keys_in(json.loads(text)) if text.lstrip().startswith("{") else _keys([text.strip()])
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise ValueError("there is no Ed25519 public key: give base64 or a list of keys") from error


def keys_in(document: Any) -> dict[str, bytes]:  # JSON of anyone's
    """Keys by id in the document of `/.well-known/modelguild-keys.json`, or in one key of it."""
    listed = document.get("keys", [document])
    return _keys([entry["public_key"] for entry in listed])


def _keys(texts: list[str]) -> dict[str, bytes]:
    """Ids are made from the keys, so that none can be told to have another's."""
    try:
        keys = [base64.b64decode(text, validate=True) for text in texts]
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("a public key has 32 bytes")
    return {key_id_of(key): key for key in keys}
