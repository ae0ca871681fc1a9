"""PyTorch pickles into safetensors: opened only if torch finds nothing in them that could run.

The gate is an allow-list: no global beside those that torch itself takes for safe, and torch's own
unpickler that knows no others. Scanners are for people to read and gate nothing.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ml_core.convert.working import Done, Work, class_named, count, load_whole, parity_of
from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.config import read_config, read_json
from ml_core.load.model import build_config, check_report, class_for
from ml_core.load.weights import too_large

NESTED = ("state_dict", "model_state_dict", "model", "module")
"""Under which training programs keep the weights among other things."""
MAX_NAMED = 10
COMPARED = "every tensor of the pickle against the same tensor of the safetensors file"


def convert(work: Work, files: Sequence[Path]) -> Done:
    """Raises UserError: `unsafe_format`, `weights_invalid`, `weights_mismatch`, …"""
    tensors: dict[str, torch.Tensor] = {}
    if work.spec.dtype is not None:
        text = "The tensors of a PyTorch file keep their bits: leave dtype out."
        raise UserError(Code.SPEC_INVALID, text)
    for path in files:
        refuse_unsafe(path)
    for path in files:
        tensors |= read_tensors(path, max_parameters=work.spec.max_parameters)
    work.reporter.phase("running")
    name = files[0].name
    if (work.source / "config.json").is_file() and not name.startswith("adapter_"):
        return _whole(work, files, tensors)
    return _plain(work, files, tensors)


def shards(index: Path) -> list[Path]:
    """The files that a `pytorch_model.bin.index.json` names. Raises UserError."""
    names = read_json(index, Code.WEIGHTS_INVALID).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise UserError(Code.WEIGHTS_INVALID, f"{index.name} names no files.")
    found = []
    for name in sorted({str(value) for value in names.values()}):
        if "/" in name or not (index.parent / name).is_file():
            raise UserError(
                Code.WEIGHTS_MISSING, f"{index.name} names {name[:200]!r}, which is not there."
            )
        found.append(index.parent / name)
    return found


def refuse_unsafe(path: Path) -> None:
    """Raise `unsafe_format` unless all that the pickle names is on torch's own list of safe things.

    The file is disassembled, never run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            is_packed = any(each.compress_type for each in archive.infolist())
        strange = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except ValueError as error:
        raise _unreadable(path, error) from error
    except zipfile.BadZipFile as error:
        raise _no_zip(path) from error
    except Exception as error:  # a reader of archives and pickles over a stranger's bytes
        raise _unreadable(path, error) from error
    if is_packed:
        raise UserError(Code.WEIGHTS_INVALID, f"{path.name} is compressed, which torch never does.")
    if strange:
        more = f" and {len(strange) - MAX_NAMED} more" if len(strange) > MAX_NAMED else ""
        raise UserError(
            Code.UNSAFE_FORMAT,
            f"{path.name} was not opened: beside numbers it names "
            f"{', '.join(strange[:MAX_NAMED])}{more}, which could run as a program. Load it on "
            "your own computer and save the state_dict alone, or better safetensors.",
            file=path.name,
            globals=strange[:100],
        )


def read_tensors(path: Path, *, max_parameters: int) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name. Raises UserError: `weights_invalid`, …"""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # torch's unpickler over a stranger's bytes
        raise _unreadable(path, error) from error
    tensors = _state_dict(found, path)
    total = 0
    for name, tensor in tensors.items():
        total += tensor.numel()
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise UserError(
                Code.WEIGHTS_INVALID, f"{name[:200]} in {path.name} is no plain tensor of numbers."
            )
    if total > max_parameters:
        raise too_large(total, max_parameters)
    return tensors


def _state_dict(found: Any, path: Path) -> dict[str, torch.Tensor]:
    for key in (None, *NESTED):
        inner = found if key is None else found.get(key) if isinstance(found, Mapping) else None
        if isinstance(inner, Mapping) and inner:
            plain = {str(n): t for n, t in inner.items() if isinstance(t, torch.Tensor)}
            if len(plain) == len(inner):
                return plain
    raise UserError(
        Code.WEIGHTS_INVALID,
        f"{path.name} holds no state_dict: names with one tensor each and nothing else.",
        file=path.name,
    )


def _whole(work: Work, files: Sequence[Path], tensors: dict[str, torch.Tensor]) -> Done:
    """Through the model's own class, which knows shared weights and older names."""
    config = build_config(read_config(work.source))
    model_class = class_for(
        config, {type(config): class_named(config)}, "a conversion", work.spec.max_parameters
    )
    dtype = _dtype(tensors, work)
    try:
        model, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=dict(tensors),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=dtype,
        )
    except MemoryError:
        raise
    except Exception as error:  # loading runs a model class over a stranger's values
        text = " ".join(str(error).split())[:500]
        raise UserError(Code.WEIGHTS_INVALID, f"The weights do not load: {text}") from error
    check_report(report, "a conversion")
    model.save_pretrained(work.out)
    for name in ("config.json", "generation_config.json"):
        (work.out / name).unlink(missing_ok=True)  # the repository's own ones stay
    work.reporter.phase("scoring")
    saved = _reloaded(work, model_class)
    pairs = [(t, saved[name]) for name, t in model.state_dict().items()]
    shared = len(tensors) - sum(len(load_file(p)) for p in work.out.glob("*.safetensors"))
    if shared > 0:
        work.notes.append(
            f"{shared} names of the pickle share their weight with another and are stored once"
        )
    return Done(
        architecture=model_class.__name__,
        parameters=count(model),
        dtype=str(dtype).removeprefix("torch."),
        source_format="pickle",
        parity=parity_of(pairs, COMPARED, relative=0.0),
        read=tuple(files),
        carry_from=(work.source,),
    )


def _reloaded(work: Work, model_class: Any) -> dict[str, torch.Tensor]:
    """All tensors of what was saved, loaded through the door of evaluations."""
    folder = work.scratch / "saved"
    folder.mkdir()
    for path in (*work.out.iterdir(), work.source / "config.json"):
        (folder / path.name).symlink_to(path.resolve())
    checkpoint = open_checkpoint(folder, max_parameters=work.spec.max_parameters)
    return dict(load_whole(work, checkpoint, model_class).model.state_dict())


def _plain(work: Work, files: Sequence[Path], tensors: dict[str, torch.Tensor]) -> Done:
    """Name by name: of an adapter, or of weights whose class nobody names."""
    kept: dict[str, torch.Tensor] = {}
    seen: dict[tuple[int, tuple[int, ...]], str] = {}
    for name, tensor in tensors.items():
        place = (tensor.untyped_storage().data_ptr(), tuple(tensor.shape))
        if place in seen and tensor.numel():
            work.notes.append(f"{name[:200]} shares the numbers of {seen[place][:200]}")
        seen.setdefault(place, name)
        kept[name] = tensor.clone().contiguous()
    stem = files[0].name.rpartition(".")[0]
    target = work.out / ("model" if stem.startswith("pytorch_model") else stem)
    target = target.with_name(f"{target.name}.safetensors")
    save_file(kept, target, metadata={"format": "pt"})
    work.reporter.phase("scoring")
    saved = load_file(target)
    return Done(
        architecture="unknown",
        parameters=sum(tensor.numel() for tensor in kept.values()),
        dtype=", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in kept.values()})),
        source_format="pickle",
        parity=parity_of([(t, saved[n]) for n, t in tensors.items()], COMPARED, relative=0.0),
        read=tuple(files),
        carry_from=(work.source,),
    )


def _dtype(tensors: Mapping[str, torch.Tensor], work: Work) -> torch.dtype:
    """The one that holds all floating-point tensors."""
    found = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    widest = torch.float16 if found == {torch.float16} else torch.bfloat16
    for dtype in found - {widest}:
        widest = torch.promote_types(widest, dtype)
    if len(found) > 1:
        work.notes.append(f"the pickle mixes dtypes; all are stored as {widest}")
    return widest if found else torch.float32


def _no_zip(path: Path) -> UserError:
    named = _globals_of_bare(path)
    words = f" It names {', '.join(named[:MAX_NAMED])}." if named else ""
    return UserError(
        Code.UNSAFE_FORMAT,
        f"{path.name} was not opened: it is cut off, or no checkpoint as torch.save has written "
        f"them since 1.6.{words} Load it on your own computer and save safetensors.",
        file=path.name,
        globals=named[:100],
    )


def _globals_of_bare(path: Path) -> list[str]:
    """What a pickle outside of an archive names, as far as it can be taken apart."""
    from torch._weights_only_unpickler import get_globals_in_pkl

    try:
        with path.open("rb") as stream:
            return sorted(get_globals_in_pkl(stream))
    except Exception:  # noqa: BLE001  # a stranger's bytes: the refusal stands without names
        return []


def _unreadable(path: Path, error: Exception) -> UserError:
    text = " ".join(str(error).split())[:300]
    return UserError(
        Code.WEIGHTS_INVALID,
        f"{path.name} is damaged or no checkpoint of torch's: {text}",
        file=path.name,
    )
