"""One conversion from spec to result: check, convert, hold against the original, write."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_core.convert.card import added_to_card, whole_card
from ml_core.convert.catalogue import Conversion, get_conversion, why_not
from ml_core.convert.costs import AFTER, BEFORE, cost_of
from ml_core.convert.results import ConversionResult, Cost
from ml_core.convert.specs import ConversionSpec
from ml_core.data.rows import sha256_of
from ml_core.errors import Code, UserError
from ml_core.evaluate.events import OnEvent, Reporter, ignore
from ml_core.load.checkpoint import JSON_FILES, TOKENIZER_FILES
from ml_core.results import PredictionsFile
from ml_core.specs import EvaluationSpec, ModelSpec
from ml_core.train.results import OutputFile

if TYPE_CHECKING:
    from ml_core.convert.working import Convert, Done

RESULT_FILE = "result.json"
MODEL = "model"
UNFINISHED = "unfinished"
CARD = "README.md"
MAX_CARD_BYTES = 1 << 20
RECORDED = ("onnx", "onnxruntime", "onnxscript", "gguf")
CARRIED = ("config.json", "generation_config.json", "1_Pooling/config.json", *JSON_FILES)


def run(
    spec: ConversionSpec, out_dir: str | os.PathLike[str], on_event: OnEvent = ignore
) -> ConversionResult:
    """Convert as `spec` says; the new files lie in the folder `model` of `out_dir`.

    Nothing is left there of an outcome that does not answer as the original does.

    Raises:
        UserError: the spec or the model is at fault.
        PlatformError: this machine is.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(on_event)
    reporter.phase("loading")
    source = Path(spec.model.path)
    conversion = _checked(spec, source)
    _set_up(spec)
    unfinished = _empty(out / UNFINISHED)
    shutil.rmtree(out / MODEL, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        done, notes = _convert(conversion, spec, source, unfinished, Path(scratch), reporter)
        made = _names(unfinished)
        cost, predictions = _score(spec, unfinished, out, reporter)
    if spec.is_whole:
        _carry(done.carry_from, unfinished)
    reporter.close()
    result = ConversionResult(
        conversion=conversion.name,
        spec=spec,
        sources=_files(done.read),
        base_sources=_files(done.base_read),
        folder=MODEL,
        files=(),
        made=(*made, CARD),
        architecture=done.architecture,
        parameters=done.parameters,
        dtype=done.dtype,
        source_format=done.source_format,
        bytes_before=_weight_bytes((*done.read, *done.base_read)),
        bytes_after=_weight_bytes(unfinished / name for name in made),
        parity=done.parity,
        notes=tuple(notes),
        environment=_environment(),
        seconds=dict(reporter.seconds),
        adapter=done.adapter,
        cost=cost,
        predictions=predictions,
    )
    return _finish(result, source, unfinished, out)


def _checked(spec: ConversionSpec, source: Path) -> Conversion:
    conversion = get_conversion(spec.conversion)
    if not source.is_dir():
        raise UserError(Code.WEIGHTS_MISSING, "The model's folder is not there.")
    problem = why_not(conversion, (path.name for path in source.iterdir() if path.is_file()))
    if problem is not None:
        raise problem
    return conversion


def _set_up(spec: ConversionSpec) -> None:
    import torch

    from ml_core.seeding import seed_everything

    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    seed_everything(spec.seed)


def _convert(
    conversion: Conversion,
    spec: ConversionSpec,
    source: Path,
    target: Path,
    scratch: Path,
    reporter: Reporter,
) -> "tuple[Done, list[str]]":
    """torch is imported here and not before."""
    from ml_core.convert.to_onnx import require_parity
    from ml_core.convert.working import Work

    convert: Convert = import_module(conversion.runner).convert
    work = Work(spec, source, target, scratch, reporter)
    done = convert(work)
    require_parity(done.parity)
    return done, work.notes


def _score(
    spec: ConversionSpec, made: Path, out: Path, reporter: Reporter
) -> tuple[Cost | None, dict[str, PredictionsFile] | None]:
    """Answers before and after where a benchmark is named; their scores where truth is at hand."""
    asked = spec.evaluation
    if asked is None:
        return None, None
    from ml_core.convert.to_int8 import FILE
    from ml_core.convert.to_onnx import FOLDER

    before = dataclasses.replace(spec.model, base=None)
    after = dataclasses.replace(before, onnx=str(made / FOLDER / FILE))
    reporter.phase("scoring")
    predictions = {
        "before": _answers(asked, before, out / BEFORE),
        "after": _answers(asked, after, out / AFTER),
    }
    return _cost(asked, out), predictions


def _answers(asked: EvaluationSpec, model: ModelSpec, target: Path) -> PredictionsFile:
    from ml_core.evaluate.evaluation import PREDICTIONS_FILE
    from ml_core.evaluate.evaluation import run as evaluate

    with tempfile.TemporaryDirectory() as folder:
        result = evaluate(dataclasses.replace(asked, model=model), folder)
        shutil.move(Path(folder) / PREDICTIONS_FILE, target)
    return dataclasses.replace(result.predictions, file=target.name)


def _cost(asked: EvaluationSpec, out: Path) -> Cost | None:
    from ml_core.answers import load_kind
    from ml_core.data.schema import read_items
    from ml_core.evaluate.tasks import get_task

    task = get_task(asked.task)
    kind = load_kind(task.answer)
    items = read_items(asked.data, task.inputs, task.truth)
    if not kind.has_truth(items):
        return None
    return cost_of(asked, kind.read_truth(items, asked), items.marks, out)


def _carry(folders: Iterable[Path], target: Path) -> None:
    """Copies of configs and tokenizer, where the conversion made none; the first folder's win."""
    for folder in folders:
        for name in (*CARRIED, *TOKENIZER_FILES):
            found, copy = folder / name, target / name
            if found.is_file() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, copy)


def _finish(
    result: ConversionResult, source: Path, unfinished: Path, out: Path
) -> ConversionResult:
    old = source / CARD
    text = old.read_bytes()[:MAX_CARD_BYTES].decode("utf-8", "replace") if old.is_file() else ""
    card = whole_card if result.spec.is_whole else added_to_card
    (unfinished / CARD).write_text(card(result, text), encoding="utf-8")
    paths = [unfinished / name for name in _names(unfinished)]
    result = dataclasses.replace(result, files=_files(paths, below=unfinished))
    unfinished.rename(out / MODEL)
    result.write(out / RESULT_FILE)
    return result


def _files(paths: Iterable[Path], *, below: Path | None = None) -> tuple[OutputFile, ...]:
    return tuple(
        OutputFile(
            path.name if below is None else path.relative_to(below).as_posix(),
            sha256_of(path),
            path.stat().st_size,
        )
        for path in paths
    )


def _names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _weight_bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.suffix != ".json")


def _environment() -> dict[str, Any]:
    import torch

    from ml_core.device import environment_facts, package_version

    facts = environment_facts(torch.device("cpu"))
    return facts | {name: package_version(name) for name in RECORDED}


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
