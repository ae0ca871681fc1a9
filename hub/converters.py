"""URL path converters for repository ids and revisions.

A revision is one path segment; a `/` inside it arrives quoted (`refs%2Fpr%2F3`) and is carried
through routing as `QUOTED_SLASH` (see `config.middleware.QuotedSlashMiddleware`).
"""

QUOTED_SLASH = "\x1f"


class NameConverter:
    """One part of a repository id."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class RevisionConverter:
    """A branch, tag, commit or full ref name."""

    regex = r"[^/]+"

    def to_python(self, value: str) -> str:
        return value.replace(QUOTED_SLASH, "/")

    def to_url(self, value: str) -> str:
        # Django quotes what it is given, and so would quote a quoted slash once more.
        return value.replace("/", QUOTED_SLASH)


class FilePathConverter:
    """A path inside a repository; slashes may come plain or quoted."""

    regex = r"(?s:.+)"

    def to_python(self, value: str) -> str:
        return value.replace(QUOTED_SLASH, "/")

    def to_url(self, value: str) -> str:
        return value
