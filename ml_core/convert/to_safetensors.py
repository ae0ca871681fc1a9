"""Weights in a PyTorch pickle or a GGUF file into safetensors."""

from pathlib import Path

from ml_core.convert import gguf_files, pickles
from ml_core.convert.catalogue import GGUF, convertible_files
from ml_core.convert.working import Done, Work
from ml_core.errors import Code, UserError

PREFERRED = ("pytorch_model.bin", "adapter_model.bin")
INDEX = "pytorch_model.bin.index.json"


def convert(work: Work) -> Done:
    """Raises UserError: `nothing_to_convert`, or what is wrong with the file."""
    files = _chosen(work)
    if files[0].name.endswith(GGUF):
        return gguf_files.convert(work, files[0])
    return pickles.convert(work, files)


def _chosen(work: Work) -> list[Path]:
    """The file asked for, else the one that can be meant; all shards of a sharded checkpoint."""
    there = convertible_files(path.name for path in work.source.iterdir() if path.is_file())
    if work.spec.file is not None:
        if work.spec.file not in there:
            raise UserError(
                Code.NOTHING_TO_CONVERT,
                f"There is no file {work.spec.file!r} that can be converted; there are: "
                f"{', '.join(there) or 'none'}.",
            )
        return [work.source / work.spec.file]
    if (work.source / INDEX).is_file():
        return pickles.shards(work.source / INDEX)
    for name in PREFERRED:
        if name in there:
            return [work.source / name]
    if len(there) == 1:
        return [work.source / there[0]]
    raise UserError(
        Code.NOTHING_TO_CONVERT,
        f"Several files could be meant: {', '.join(there[:20])}. Say which one (file).",
        files=there[:50],
    )
