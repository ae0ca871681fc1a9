"""What can go wrong in a repository, as one family."""

from typing import Any


class VcsError(Exception):
    """Base of all repository errors; `details` holds plain values that a surface may show."""

    def __init__(self, message: str, **details: Any) -> None:  # Any: plain JSON values
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class RepositoryMissing(VcsError):
    """There is no git repository at the path."""

    def __init__(self, path: str) -> None:
        super().__init__("the git repository is missing on disk", path=path)


class RepositoryDamaged(VcsError):
    """Objects that a ref leads to are missing or cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__("the git repository is damaged on disk", reason=reason)


class RepositoryBusy(VcsError):
    """Another writer held the repository lock for too long."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__("the repository is busy, try again in a moment", timeout_s=timeout_s)


class RepositoryFull(VcsError):
    """The disk that holds the repository has no room left."""

    def __init__(self) -> None:
        super().__init__("no space is left for the repository")


class RevisionNotFound(VcsError):
    """No branch, tag, commit or ref goes by this revision."""

    def __init__(self, revision: str) -> None:
        super().__init__(f"revision not found: {revision}", revision=revision)


class EntryNotFound(VcsError):
    """The path does not exist at the commit."""

    def __init__(self, path: str, commit_sha: str | None = None) -> None:
        super().__init__(f"entry not found: {path}", path=path, commit_sha=commit_sha)


class EntryTooLarge(VcsError):
    """The file is larger than the caller wants to read."""

    def __init__(self, path: str, size_bytes: int, max_bytes: int) -> None:
        super().__init__(
            f"{path} has {size_bytes} bytes, more than {max_bytes}",
            path=path,
            size_bytes=size_bytes,
            max_bytes=max_bytes,
        )


class ParentMoved(VcsError):
    """The ref no longer points where the writer believed; None stands for "does not exist"."""

    def __init__(self, expected: str | None, actual: str | None) -> None:
        super().__init__(
            f"the branch has moved: expected {expected}, it is at {actual}",
            expected=expected,
            actual=actual,
        )
        self.expected = expected
        self.actual = actual


class RefExists(VcsError):
    """The ref exists, or one exists whose name this one would have to contain."""

    def __init__(self, full_name: str) -> None:
        super().__init__(f"reference already exists: {full_name}", ref=full_name)


class RefNotFound(VcsError):
    """There is no such ref."""

    def __init__(self, full_name: str) -> None:
        super().__init__(f"reference not found: {full_name}", ref=full_name)


class InvalidRefName(VcsError):
    """The name cannot be that of a branch or tag."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"invalid reference name: {reason}", name=name, reason=reason)


class InvalidPath(VcsError):
    """The path cannot be that of a file in a repository."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"invalid path: {reason}", path=path, reason=reason)


class InvalidContent(VcsError):
    """The file's content would make a repository that git refuses."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"invalid content of {path}: {reason}", path=path, reason=reason)


class PathConflict(VcsError):
    """A file stands where a folder is needed, or a folder where a file is to be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}", path=path, reason=reason)


class MergeConflict(VcsError):
    """Both sides changed the same lines, or the same large file."""

    def __init__(self, paths: list[str]) -> None:
        shown = ", ".join(paths[:5]) + (", …" if len(paths) > 5 else "")
        super().__init__(f"both sides changed {shown}", paths=paths)
        self.paths = paths


class PackRefused(VcsError):
    """What was sent is no pack of git objects that we can take."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the objects cannot be taken: {reason}", reason=reason)
