"""Does a file hold what its name says, in a sensible size? And does the model need remote code?"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ml_core.formats.detect import TEXTUAL, FileKind, kind_by_content, kind_by_name
from ml_core.scan.report import Finding, ScanReport, Severity, report_from
from ml_core.scan.scanner import ScannedFile

MAX_SIZES: Mapping[str, int] = {
    "config.json": 4 << 20,
    "tokenizer_config.json": 16 << 20,
    "generation_config.json": 1 << 20,
    "readme.md": 4 << 20,
    ".gitattributes": 1 << 20,
}
MAX_FILE_BYTES = 500 << 30
MAX_CONFIG_BYTES = 16 << 20
RUNTIME_KEYS = ("attn_implementation", "_attn_implementation", "custom_pipelines")
DISGUISES = frozenset({FileKind.EXECUTABLE, FileKind.PICKLE})
SAME = (
    {FileKind.PICKLE, FileKind.ZIP, FileKind.TAR, FileKind.COMPRESSED, FileKind.NPY},
    {FileKind.PYTHON, FileKind.TEXT, FileKind.SCRIPT},
    {FileKind.HTML, FileKind.TEXT, FileKind.IMAGE},
    {FileKind.IMAGE, FileKind.VIDEO, FileKind.AUDIO},
)


@dataclass(frozen=True)
class ContentScanner:
    """Compares extension, first bytes and size. It applies to every file."""

    name: str = "content"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        return True

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        findings = [*_mismatches(path, file.head), *_oversize(path, file.size_bytes)]
        return report_from(self.name, self.version, findings)


def _mismatches(path: str, head: bytes) -> Iterator[Finding]:
    promised, found = kind_by_name(path), kind_by_content(head)
    detail = {"promised": promised.value, "found": found.value}
    if found is FileKind.EXECUTABLE:
        yield Finding("executable", Severity.WARNING, "This is a program for a computer.", detail)
        return
    if FileKind.UNKNOWN in (promised, found) and not _is_broken_promise(promised, head):
        return
    if promised is found or any({promised, found} <= group for group in SAME):
        return
    severity = Severity.DANGER if found in DISGUISES else Severity.WARNING
    yield Finding(
        "wrong-extension",
        severity,
        f"The name says {promised.value}, the content is {found.value}.",
        detail,
    )


def _is_broken_promise(promised: FileKind, head: bytes) -> bool:
    """A text format that holds binary data; other unknown content may be a newer version."""
    return promised in TEXTUAL and b"\x00" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff")


def _oversize(path: str, size_bytes: int) -> Iterator[Finding]:
    limit = MAX_SIZES.get(PurePosixPath(path).name.lower(), MAX_FILE_BYTES)
    if size_bytes > limit:
        yield Finding(
            "oversized",
            Severity.WARNING,
            f"The file has {size_bytes:,} bytes; files of this name have at most {limit:,}.",
            {"size_bytes": size_bytes, "limit_bytes": limit},
        )


@dataclass(frozen=True)
class RemoteCodeScanner:
    """Says, as information, that a file is code or makes a loader run code of the repository."""

    name: str = "remote-code"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        pure = PurePosixPath(path.lower())
        return pure.suffix in (".py", ".ipynb") or pure.name.endswith("config.json")

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        if not path.lower().endswith(".json"):
            finding = Finding("code", Severity.INFO, "This file is code. We do not run it.")
            return report_from(self.name, self.version, [finding])
        return report_from(self.name, self.version, _config_findings(file))


def _config_findings(file: ScannedFile) -> Iterator[Finding]:
    if file.size_bytes > MAX_CONFIG_BYTES:
        yield Finding("too-large", Severity.ERROR, "The file is too large to be read as a config.")
        return
    try:
        config = json.loads(file.stream.read(MAX_CONFIG_BYTES))
    except (ValueError, RecursionError):
        yield Finding("not-json", Severity.ERROR, "The file is not valid JSON.")
        return
    if not isinstance(config, dict):
        return
    if config.get("auto_map"):
        yield Finding(
            "needs-remote-code",
            Severity.INFO,
            "Loading this model needs code of the repository (auto_map). It is off by default.",
            {"classes": _classes(config["auto_map"])},
        )
    for key in RUNTIME_KEYS:
        if key in config:
            yield Finding(
                "runtime-key",
                Severity.INFO,
                f"The config sets {key}, which chooses code at run time. We ignore it.",
                {"key": key},
            )


def _classes(auto_map: object) -> list[str]:
    values = auto_map.values() if isinstance(auto_map, dict) else [auto_map]
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    return [str(value)[:200] for value in flat if value][:20]
