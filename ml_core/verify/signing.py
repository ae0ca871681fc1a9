"""Canonical form, digest and signature of records. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def canonical_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON: keys sorted, no spaces, shortest floats.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return text.encode("utf-8")


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def load_private_key(secret: str) -> Ed25519PrivateKey:
    """The key whose 32 bytes `secret` holds in base64."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret))


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id_of(public_key: bytes) -> str:
    """A short name for a public key: the first 16 digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def sign(digest: str, key: Ed25519PrivateKey) -> str:
    """Ed25519 over the 32 bytes of `digest`, in base64."""
    return base64.b64encode(key.sign(bytes.fromhex(digest))).decode()


def is_signed_by(digest: str, signature: str, public_key: bytes) -> bool:
    """Whether `signature` is one of `digest` by that key; malformed input is not."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(base64.b64decode(signature, validate=True), bytes.fromhex(digest))
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_token(payload: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """`payload` as a signed token for where a record itself finds no room.

    Source: RFC 7515 and RFC 8037 (JWS compact form, EdDSA); `kid` is the key's id.
    """
    header = {"alg": "EdDSA", "typ": "JWT", "kid": key_id_of(public_bytes(key))}
    text = f"{_base64url(canonical_json(header))}.{_base64url(canonical_json(payload))}"
    return f"{text}.{_base64url(key.sign(text.encode('ascii')))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
