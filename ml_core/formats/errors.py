"""The errors of the format readers."""


class FormatError(Exception):
    """A file does not follow its format.

    `code` is stable and short ("tensors-overlap"), `message` is for people, `detail` holds the
    JSON values the message speaks of.
    """

    def __init__(self, code: str, message: str, **detail: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class LimitExceeded(FormatError):
    """A file would take more memory, bytes or entries to read than the caller allows."""
