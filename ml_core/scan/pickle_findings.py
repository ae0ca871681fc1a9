"""What is said about a pickle, from what a walk over it saw."""

import re
from collections.abc import Iterator

from ml_core.formats.errors import FormatError
from ml_core.scan.allowed_globals import severity_of
from ml_core.scan.pickle_walk import Imported, Walk
from ml_core.scan.report import Finding, Severity

PLAUSIBLE_NAME = re.compile(r"[A-Za-z_][\w.]*")


def import_findings(walk: Walk, place: str, *, only_plausible: bool) -> Iterator[Finding]:
    imports = [i for i in walk.imports if not only_plausible or _is_plausible(i)]
    for imported in imports:
        yield from _import_finding(imported, place)
    for imported in walk.altered:
        if imported in imports:
            yield Finding(
                "alters-import", Severity.DANGER, "The pickle changes an object it imports.",
                {"place": place, **_name(imported)},
            )  # fmt: skip
    if walk.extension_codes and not only_plausible:
        yield Finding(
            "extension-code", Severity.DANGER,
            "The pickle imports by number, so what it imports cannot be told.",
            {"place": place, "codes": list(walk.extension_codes)[:10]},
        )  # fmt: skip
    if walk.has_large_nested:
        yield unread("large-nested-pickle", "A pickle inside was too large to read.", place)


def _import_finding(imported: Imported, place: str) -> Iterator[Finding]:
    if imported.module is None or imported.name is None:
        yield Finding(
            "computed-import", Severity.DANGER,
            "The pickle computes the name of what it imports, which hides it.",
            {"place": place, **_name(imported)},
        )  # fmt: skip
        return
    severity = severity_of(imported.module, imported.name)
    if severity is Severity.INFO:
        return
    shown = f"{imported.module}.{imported.name}"[:200]
    if severity is Severity.DANGER:
        code, message = (
            "dangerous-import",
            f"Loading this file imports {shown}, which can run code.",
        )
    else:
        code, message = (
            "unknown-import",
            f"Loading this file imports {shown}, which we do not know.",
        )
    yield Finding(code, severity, message, {"place": place, **_name(imported)})


def _name(imported: Imported) -> dict[str, object]:
    return {"module": (imported.module or "?")[:200], "name": (imported.name or "?")[:200]}


def _is_plausible(imported: Imported) -> bool:
    return all(
        part is not None and PLAUSIBLE_NAME.fullmatch(part)
        for part in (imported.module, imported.name)
    )


def broken(walk: Walk, error: FormatError, place: str, *, is_claimed: bool) -> Finding:
    if is_claimed or walk.imports or walk.extension_codes:
        return unread("broken-pickle", f"The pickle could not be read: {error.message}", place)
    return Finding("not-a-pickle", Severity.INFO, "This is not a pickle.", {"place": place})


def bytes_after(place: str) -> Finding:
    return Finding(
        "bytes-after-pickle", Severity.WARNING, "Other bytes follow the pickle.", {"place": place}
    )


def unread(code: str, message: str, place: str) -> Finding:
    return Finding(code, Severity.ERROR, message, {"place": place})
