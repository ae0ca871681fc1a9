"""What a file is: by its first bytes, and by its name."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath

HEAD_BYTES = 560


class FileKind(StrEnum):
    """Kinds of content that matter to us; `UNKNOWN` for anything else."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    ZIP = "zip"
    TAR = "tar"
    COMPRESSED = "compressed"
    SEVEN_ZIP = "7z"
    RAR = "rar"
    NPY = "npy"
    GGUF = "gguf"
    HDF5 = "hdf5"
    ONNX = "onnx"
    TFLITE = "tflite"
    PARQUET = "parquet"
    ARROW = "arrow"
    SQLITE = "sqlite"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    PDF = "pdf"
    HTML = "html"
    EXECUTABLE = "executable"
    SCRIPT = "script"
    PYTHON = "python"
    TEXT = "text"
    UNKNOWN = "unknown"


MAGICS: tuple[tuple[bytes, FileKind], ...] = (
    (b"PK\x03\x04", FileKind.ZIP),
    (b"PK\x05\x06", FileKind.ZIP),
    (b"\x93NUMPY", FileKind.NPY),
    (b"GGUF", FileKind.GGUF),
    (b"\x89HDF\r\n\x1a\n", FileKind.HDF5),
    (b"PAR1", FileKind.PARQUET),
    (b"ARROW1\x00\x00", FileKind.ARROW),
    (b"SQLite format 3\x00", FileKind.SQLITE),
    (b"7z\xbc\xaf\x27\x1c", FileKind.SEVEN_ZIP),
    (b"Rar!\x1a\x07", FileKind.RAR),
    (b"\x1f\x8b", FileKind.COMPRESSED),
    (b"BZh", FileKind.COMPRESSED),
    (b"\xfd7zXZ\x00", FileKind.COMPRESSED),
    (b"\x28\xb5\x2f\xfd", FileKind.COMPRESSED),
    (b"\x7fELF", FileKind.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", FileKind.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", FileKind.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", FileKind.EXECUTABLE),
    (b"\x00asm", FileKind.EXECUTABLE),
    (b"\x89PNG\r\n\x1a\n", FileKind.IMAGE),
    (b"\xff\xd8\xff", FileKind.IMAGE),
    (b"GIF8", FileKind.IMAGE),
    (b"%PDF-", FileKind.PDF),
    (b"fLaC", FileKind.AUDIO),
    (b"OggS", FileKind.AUDIO),
    (b"ID3", FileKind.AUDIO),
    (b"#!", FileKind.SCRIPT),
)

EXTENSIONS: Mapping[FileKind, tuple[str, ...]] = {
    FileKind.SAFETENSORS: (".safetensors",),
    FileKind.PICKLE: (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"),
    FileKind.ZIP: (".zip", ".npz", ".keras", ".whl"),
    FileKind.TAR: (".tar", ".nemo"),
    FileKind.COMPRESSED: (".gz", ".tgz", ".bz2", ".xz", ".zst"),
    FileKind.SEVEN_ZIP: (".7z",),
    FileKind.RAR: (".rar",),
    FileKind.NPY: (".npy",),
    FileKind.GGUF: (".gguf",),
    FileKind.HDF5: (".h5", ".hdf5"),
    FileKind.ONNX: (".onnx",),
    FileKind.TFLITE: (".tflite",),
    FileKind.PARQUET: (".parquet",),
    FileKind.ARROW: (".arrow", ".feather"),
    FileKind.IMAGE: (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    FileKind.AUDIO: (".wav", ".flac", ".ogg", ".mp3"),
    FileKind.VIDEO: (".mp4", ".webm", ".mkv"),
    FileKind.PDF: (".pdf",),
    FileKind.HTML: (".html", ".htm", ".svg", ".xhtml"),
    FileKind.EXECUTABLE: (".exe", ".dll", ".so", ".dylib", ".wasm"),
    FileKind.PYTHON: (".py", ".pyi"),
    FileKind.SCRIPT: (".sh", ".bat", ".ps1", ".js"),
    FileKind.TEXT: (
        ".txt", ".md", ".json", ".jsonl", ".yaml", ".yml", ".csv", ".tsv", ".toml", ".cfg", ".ini",
        ".jinja", ".xml", ".ipynb", ".rst", ".env", ".po",
    ),
}  # fmt: skip

TEXT_NAMES = frozenset({"license", "readme", "makefile", ".gitattributes", ".gitignore", ".env"})
BY_EXTENSION = {ext: kind for kind, exts in EXTENSIONS.items() for ext in exts}
TEXTUAL = frozenset({FileKind.TEXT, FileKind.PYTHON, FileKind.SCRIPT, FileKind.HTML})


def kind_by_name(path: str) -> FileKind:
    """What the file's name promises; `.bin` promises nothing."""
    name = PurePosixPath(path).name.lower()
    if name in TEXT_NAMES:
        return FileKind.TEXT
    return BY_EXTENSION.get(PurePosixPath(name).suffix, FileKind.UNKNOWN)


def kind_by_content(head: bytes) -> FileKind:
    """What the first `HEAD_BYTES` bytes show, `UNKNOWN` where they prove nothing."""
    for magic, kind in MAGICS:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return FileKind.TAR
    if head[:2] == b"MZ" and len(head) > 63:
        return FileKind.EXECUTABLE
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return FileKind.PICKLE
    if head[4:8] == b"TFL3":
        return FileKind.TFLITE
    return _structured_kind(head)


def _structured_kind(head: bytes) -> FileKind:
    if len(head) > 8 and head[8:9] == b"{" and not any(head[5:8]):
        return FileKind.SAFETENSORS
    if head[:4] == b"RIFF":
        return {b"WEBP": FileKind.IMAGE, b"WAVE": FileKind.AUDIO}.get(head[8:12], FileKind.VIDEO)
    if head[4:8] == b"ftyp":
        return FileKind.VIDEO
    if looks_like_text(head):
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
        markup = (b"<!doctype html", b"<html", b"<svg", b"<script", b"<?xml")
        return FileKind.HTML if start.startswith(markup) else FileKind.TEXT
    return FileKind.UNKNOWN


def looks_like_text(head: bytes) -> bool:
    """Whether the bytes are UTF-8 without control characters; the last one may be cut."""
    if not head or any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and error.reason == "unexpected end of data"
    return True
