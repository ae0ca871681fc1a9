"""What can go wrong with stored bytes, as one family."""

from typing import Any


class StorageError(Exception):
    """Base of all storage errors; `details` holds plain values that a surface may show."""

    def __init__(self, message: str, **details: Any) -> None:  # Any: plain JSON values
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class InvalidKey(StorageError):
    """The key is not made of plain segments."""

    def __init__(self, key: str) -> None:
        super().__init__("invalid storage key", key=key)


class KeyMissing(StorageError):
    """Nothing is stored under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored under {key}", key=key)


class StorageFull(StorageError):
    """The store, or the staging folder in front of it, has no room left."""

    def __init__(self) -> None:
        super().__init__("no space is left in the store")


class StorageUnavailable(StorageError):
    """The store does not answer, or refuses us."""

    def __init__(self, reason: str) -> None:
        super().__init__("the store is not available", reason=reason)


class ReceiveError(StorageError):
    """Bytes that were sent to us are not what was promised; nothing of them is kept."""


class TooLarge(ReceiveError):
    """More bytes came than are allowed."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes", limit_bytes=limit_bytes)


class SizeMismatch(ReceiveError):
    """Fewer or more bytes came than were promised."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(
            f"the body has {actual} bytes, {expected} were promised",
            expected=expected,
            actual=actual,
        )


class DigestMismatch(ReceiveError):
    """The bytes have another SHA-256 than was promised."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(
            f"the body has the SHA-256 {actual}, {expected} was promised",
            expected=expected,
            actual=actual,
        )


class ClientGone(ReceiveError):
    """The sender went away in the middle."""

    def __init__(self) -> None:
        super().__init__("the connection ended before the body did")
