"""Which paths and ref names we accept: the rules that keep a clone safe on every system.

Source: git-check-ref-format(1); the names that git's own `fsck` and checkout refuse on
case-insensitive, HFS+ and NTFS file systems.
"""

import re
import unicodedata

from hub.vcs.errors import InvalidPath, InvalidRefName

MAX_PATH_BYTES = 1024
MAX_SEGMENT_BYTES = 255
MAX_LEVELS = 64
MAX_REF_BYTES = 200

_HFS_IGNORED = {
    *range(0x200C, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x206A, 0x2070),
    0xFEFF,
}
_SHORT_NAME_START = "gi7eba"
_FORBIDDEN_IN_REF = set(" ~^:?*[\\")
_FULL_SHA = re.compile(r"[0-9a-f]{40}")


def validate_path(path: str) -> str:
    """The path itself, when a file of that name may be written.

    Raises:
        InvalidPath: with the reason in words.
    """
    encoded = _encode_path(path)
    if not path:
        raise InvalidPath(path, "it is empty")
    if len(encoded) > MAX_PATH_BYTES:
        raise InvalidPath(path, f"it is longer than {MAX_PATH_BYTES} bytes")
    if path.startswith("/"):
        raise InvalidPath(path, "it must be relative to the repository")
    if "\\" in path:
        raise InvalidPath(path, "it contains a backslash")
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in path):
        raise InvalidPath(path, "it contains a control character")
    segments = path.split("/")
    if len(segments) > MAX_LEVELS:
        raise InvalidPath(path, f"it has more than {MAX_LEVELS} levels")
    for segment in segments:
        _check_segment(path, segment)
    return path


def validate_ref_name(name: str) -> str:
    """The short name itself, when a branch or tag may be called so.

    Raises:
        InvalidRefName: with the reason in words.
    """
    reason = _ref_name_fault(name)
    if reason is not None:
        raise InvalidRefName(name, reason)
    return name


def validate_full_ref_name(full_name: str) -> str:
    """The full name itself, when it is `refs/<kind>/<valid short name>`."""
    parts = full_name.split("/", 2)
    if len(parts) != 3 or parts[0] != "refs" or not re.fullmatch(r"[a-z][a-z-]*", parts[1]):
        raise InvalidRefName(full_name, "a full name looks like refs/heads/name")
    validate_ref_name(parts[2])
    return full_name


def _encode_path(path: str) -> bytes:
    try:
        return path.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidPath(path.encode("utf-8", "replace").decode(), "it is not UTF-8") from None


def _check_segment(path: str, segment: str) -> None:
    if not segment:
        raise InvalidPath(path, "it has an empty segment")
    if segment in (".", ".."):
        raise InvalidPath(path, "it contains '.' or '..' as a segment")
    if len(segment.encode("utf-8")) > MAX_SEGMENT_BYTES:
        raise InvalidPath(path, f"a segment is longer than {MAX_SEGMENT_BYTES} bytes")
    plain = _as_file_systems_see_it(segment)
    if plain in (".git", "git~1"):
        raise InvalidPath(path, "a segment stands for git's own folder")
    if plain == ".gitmodules" or _is_ntfs_short_name(plain):
        raise InvalidPath(path, "submodules are not supported")
    if plain == ".gitattributes" and segment != ".gitattributes":
        raise InvalidPath(path, "a segment is a look-alike of .gitattributes")
    if plain in (".", ".."):
        raise InvalidPath(path, "a segment is a look-alike of '.' or '..'")


def _as_file_systems_see_it(segment: str) -> str:
    """The name as HFS+ (ignored code points, case) and NTFS (streams, trailing dots) take it."""
    visible = "".join(char for char in segment if ord(char) not in _HFS_IGNORED)
    plain = unicodedata.normalize("NFKC", visible).casefold().split(":", 1)[0]
    return plain.rstrip(" .") or plain


def _is_ntfs_short_name(name: str) -> bool:
    """Whether the name may be the 8.3 name of .gitmodules or .gitattributes on NTFS."""
    if re.fullmatch(r"(gitmod|gitatt)~[1-4]", name):
        return True
    head, tilde, digits = name[:8].partition("~")
    return bool(
        tilde
        and len(name) == 8
        and re.fullmatch(r"[1-9][0-9]*", digits)
        and (_SHORT_NAME_START.startswith(head) or "gi7d29".startswith(head))
    )


def _ref_name_fault(name: str) -> str | None:
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if not name:
        return "it is empty"
    if len(encoded) > MAX_REF_BYTES:
        return f"it is longer than {MAX_REF_BYTES} bytes"
    if any(char in _FORBIDDEN_IN_REF or unicodedata.category(char) == "Cc" for char in name):
        return "it contains a space, a control character or one of ~^:?*[\\"
    if ".." in name or "@{" in name or name.endswith("."):
        return "it contains '..' or '@{', or ends with a dot"
    if name in ("@", "HEAD") or name.startswith("-"):
        return "the name has a meaning of its own in git"
    if _FULL_SHA.fullmatch(name):
        return "it looks like a commit id"
    for part in name.split("/"):
        if not part or part.startswith(".") or part.endswith(".lock"):
            return "a part is empty, starts with a dot or ends with '.lock'"
    return None
