"""GGUF into safetensors: dequantised, cast to a dtype that the record names.

A cast back is not what it was made from: the numbers are those of the quantised model, no better.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ml_core.convert.inputs import samples_for
from ml_core.convert.working import (
    NAMED_DTYPES,
    Done,
    Work,
    count,
    load_whole,
    output_of,
    parity_of,
)
from ml_core.errors import Code, UserError
from ml_core.formats import FormatError
from ml_core.formats.gguf import GgufHeader, read_header
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.weights import too_large

DEFAULT_DTYPE = "bfloat16"
COMPARED = "scores of the dequantised and cast model against the saved one, both in float32"


def convert(work: Work, path: Path) -> Done:
    """Raises UserError: `weights_invalid`, `model_too_large`, `unsupported_model`."""
    header = _header(path, work)
    folder = work.scratch / "gguf"
    folder.mkdir()
    (folder / path.name).symlink_to(path.resolve())
    dtype = work.spec.dtype or DEFAULT_DTYPE
    model = _dequantised(folder, path.name, header).to(NAMED_DTYPES[dtype])
    work.reporter.phase("running")
    plain = _without_quantisation(model)
    plain.save_pretrained(work.out)
    _save_tokenizer(work, folder, path.name)
    work.reporter.phase("scoring")
    saved = load_whole(work, open_checkpoint(work.out, max_parameters=work.spec.max_parameters))
    samples = samples_for(saved.model, seed=work.spec.seed)
    plain = plain.float().eval()
    with torch.inference_mode():
        pairs = []
        for batch in samples.batches:
            given = dict(zip(samples.names, batch, strict=True))
            pairs.append((output_of(plain(**given)), output_of(saved.model(**given))))
    work.notes.append(f"dequantised from {path.name} and stored as {dtype}")
    return Done(
        architecture=type(plain).__name__,
        parameters=count(plain),
        dtype=dtype,
        source_format=f"GGUF ({header.architecture})",
        parity=parity_of(pairs, COMPARED),
        read=(path,),
        carry_from=(work.source,),
    )


def _header(path: Path, work: Work) -> GgufHeader:
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
    except (OSError, FormatError) as error:
        raise UserError(
            Code.WEIGHTS_INVALID, f"{path.name} is damaged or no GGUF file: {error}"
        ) from error
    if header.total_parameters > work.spec.max_parameters:
        raise too_large(header.total_parameters, work.spec.max_parameters)
    return header


def _dequantised(folder: Path, name: str, header: GgufHeader) -> Any:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(  # a pair, with the report asked for
            folder,
            gguf_file=name,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except MemoryError:
        raise
    except Exception as error:  # loading runs a model class over a stranger's values
        text = " ".join(str(error).split())[:300]
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"transformers cannot dequantise a GGUF file of the architecture "
            f"{header.architecture!r}: {text}",
        ) from error
    model, report = loaded
    missing = sorted(report.get("missing_keys", ()))
    if missing:
        raise UserError(
            Code.WEIGHTS_MISMATCH, f"{name} lacks the weights {', '.join(missing[:5])}."
        )
    return model


def _without_quantisation(model: Any) -> Any:
    """The same weights in a model that says nothing of quantisation: the first refuses to be
    saved."""
    config = type(model.config).from_dict(
        {k: v for k, v in model.config.to_dict().items() if k != "quantization_config"}
    )
    plain = type(model)(config).to(model.dtype)
    plain.load_state_dict(model.state_dict())
    plain.config.architectures = [type(model).__name__]
    return plain


def _save_tokenizer(work: Work, folder: Path, name: str) -> None:
    """The tokenizer in the file, where the repository has none of its own."""
    if any((work.source / n).is_file() for n in ("tokenizer.json", "tokenizer.model")):
        return
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, gguf_file=name, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # noqa: BLE001  # a tokenizer of a stranger's making
        text = " ".join(str(error).split())[:200]
        work.notes.append(f"the tokenizer in {name} could not be read: {text}")
        return
    tokenizer.save_pretrained(work.out)
