"""Stored bytes without Django: one port over a local folder and the usual buckets."""

from hub.storage.digests import HashingReader, Readable, Received, receive
from hub.storage.errors import (
    ClientGone,
    DigestMismatch,
    KeyMissing,
    ReceiveError,
    SizeMismatch,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TooLarge,
)
from hub.storage.store import Store
from hub.storage.values import StoredObject

__all__ = [
    "ClientGone",
    "DigestMismatch",
    "HashingReader",
    "KeyMissing",
    "Readable",
    "ReceiveError",
    "Received",
    "SizeMismatch",
    "StorageError",
    "StorageFull",
    "StorageUnavailable",
    "Store",
    "StoredObject",
    "TooLarge",
    "receive",
]
