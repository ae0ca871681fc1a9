"""The new model as a folder that anyone can load, and the result that says what it is worth."""

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ml_core.data.rows import sha256_of
from ml_core.device import (
    EXACT_ARITHMETIC,
    device_name,
    environment_facts,
    peak_memory_bytes,
)
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import load_tokenizer
from ml_core.train.adapters import merge, save_adapter
from ml_core.train.card import adapter_card, model_card
from ml_core.train.checkpoints import UNFINISHED, publish
from ml_core.train.judging import Judged
from ml_core.train.results import (
    Curve,
    EndReason,
    FinetuneResult,
    OutputFile,
    TrainingFacts,
)
from ml_core.train.session import Session, facts_of, judge

MODEL, ADAPTER = "model", "adapter"
CARD = "README.md"
LOG = "training_log.jsonl"


def finish(session: Session, before: Judged) -> FinetuneResult:
    """Save the model, load it again through the door that evaluations use, and judge that."""
    reporter, out = session.reporter, session.out
    n_parameters, n_trained = _count(session)
    facts = facts_of(session.checked, session.objective.loaded, n_parameters)
    reporter.phase("saving")
    adapter = _save_adapter(session)
    saved = _save_model(session)
    reporter.phase("after")
    after = judge(session, _reload(session, saved))
    reporter.close()
    chief = session.checked.judge
    n_draws = session.spec.bootstrap_draws
    result = FinetuneResult(
        recipe=session.spec.recipe,
        spec=session.spec,
        labels=session.checked.labels,
        main_metric=chief.metrics[0],
        direction=chief.direction,
        base=facts,
        training=_facts(session, n_parameters, n_trained),
        before=before.scores,
        after=after.scores,
        comparison=chief.compare(before, after, n_draws=n_draws),
        curve=session.progress.curve,
        model_folder=MODEL,
        files=(),
        environment=environment_facts(session.device),
        adapter_folder=None if adapter is None else ADAPTER,
        predictions={
            "before": chief.write(before, out / "predictions_before.parquet"),
            "after": chief.write(after, out / "predictions_after.parquet"),
        },
        resumed_from=session.resumed,
    )
    return _publish(result, out, saved, adapter)


def _publish(
    result: FinetuneResult, out: Path, saved: Path, adapter: Path | None
) -> FinetuneResult:
    """Add cards and log, and give the folders their names."""
    (saved / CARD).write_text(model_card(result), encoding="utf-8")
    (saved / LOG).write_text(log_lines(result.curve), encoding="utf-8")
    result = replace(result, files=_files(saved))
    if adapter is not None:
        (adapter / CARD).write_text(adapter_card(result), encoding="utf-8")
        result = replace(result, adapter_files=_files(adapter))
        publish(adapter, out / ADAPTER)
    publish(saved, out / MODEL)
    return result


def log_lines(curve: Curve) -> str:
    """The curve, one JSON object a line, in the order of steps."""
    rows = [(p.step, 0, {"event": "train", **asdict(p)}) for p in curve.train]
    rows += [(p.step, 1, {"event": "eval", **asdict(p)}) for p in curve.eval]
    rows.sort(key=lambda row: row[:2])
    return "".join(json.dumps(row) + "\n" for _, _, row in rows)


def _save_adapter(session: Session) -> Path | None:
    if session.spec.training.method != "lora":
        return None
    folder = _empty(session.out / f"{UNFINISHED}{ADAPTER}")
    save_adapter(session.model, folder)
    return folder


def _save_model(session: Session) -> Path:
    """The whole model in float32, additions merged in, and its tokenizer or image processor."""
    is_lora = session.spec.training.method == "lora"
    model = merge(session.model) if is_lora else session.objective.loaded.model
    folder = _empty(session.out / f"{UNFINISHED}{MODEL}")
    model.save_pretrained(folder)
    session.objective.save(folder)
    return folder


def _reload(session: Session, folder: Path) -> LoadedModel:
    """What was saved, loaded as a stranger's checkpoint is."""
    checkpoint = open_checkpoint(folder, max_parameters=session.spec.max_parameters)
    staged = checkpoint.stage(Path(tempfile.mkdtemp(dir=session.scratch)))
    config = build_config(checkpoint.config)
    if checkpoint.has_tokenizer:
        load_tokenizer(checkpoint, staged, config)
    return load_model(
        staged,
        config,
        session.objective.classes,
        purpose=session.objective.purpose,
        max_parameters=session.spec.max_parameters,
        device=session.device,
        dtype=torch.float32,
    )


def _facts(session: Session, n_parameters: int, n_trained: int) -> TrainingFacts:
    spec, progress, objective = session.spec, session.progress, session.objective
    cuts = int(progress.learning_rate_factor < 1)
    return TrainingFacts(
        method=spec.training.method,
        learning_rate=session.learning_rate * progress.learning_rate_factor,
        step_slots=session.step_slots,
        token_budget=session.budget,
        max_length=objective.max_length,
        steps=progress.step,
        planned_steps=len(session.plan),
        best_step=progress.best_step or progress.step,
        end_reason=_reason(session),
        epochs=round(session.plan.epoch(progress.step), 4),
        rows=len(session.checked.items),
        validation_rows=len(session.checked.validation),
        truncated_rows=objective.n_truncated,
        tokens=progress.tokens,
        padded_slots=progress.padded_slots,
        parameters=n_parameters,
        trainable_parameters=n_trained,
        fresh_weights=objective.fresh,
        device=str(session.device),
        device_name=device_name(session.device),
        dtype=spec.engine.dtype,
        threads=torch.get_num_threads(),
        seed=spec.engine.seed,
        seconds=dict(session.reporter.seconds),
        oom_halvings=session.oom_halvings,
        learning_rate_cuts=cuts,
        peak_device_memory_bytes=peak_memory_bytes(session.device),
        notes=tuple(session.notes),
        arithmetic=dict(EXACT_ARITHMETIC),
    )


def _reason(session: Session) -> EndReason:
    if session.progress.step < len(session.plan):
        return "early_stopping"
    ends = session.plan.epoch_ends
    return "epochs" if len(session.plan) == ends[-1] else "max_steps"


def _count(session: Session) -> tuple[int, int]:
    """Weights of the base with its head, and weights that are trained."""
    trained = [p.numel() for p in session.model.parameters() if p.requires_grad]
    return session.objective.loaded.n_parameters, sum(trained)


def _files(folder: Path) -> tuple[OutputFile, ...]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        OutputFile(str(path.relative_to(folder)), sha256_of(path), path.stat().st_size)
        for path in paths
    )


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
