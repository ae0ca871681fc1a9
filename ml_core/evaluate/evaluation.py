"""One evaluation from spec to result: check, load, batch, forward, write, score."""

import dataclasses
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_core.answers import load_kind
from ml_core.answers.kind import Answered, AnswerKind
from ml_core.assessment import assess
from ml_core.data.schema import Items, read_items
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Plan, histogram
from ml_core.evaluate.events import OnEvent, Reporter, ignore
from ml_core.evaluate.tasks import Task, get_task
from ml_core.load.checkpoint import Checkpoint, open_checkpoint
from ml_core.metrics import Setting
from ml_core.results import AdapterFacts, EvaluationResult, Execution, ModelFacts, PredictionsFile
from ml_core.specs import EvaluationSpec

if TYPE_CHECKING:
    from ml_core.evaluate.engine import Outputs
    from ml_core.evaluate.job import Prepare, Prepared, Request

PREDICTIONS_FILE = "predictions.parquet"
RESULT_FILE = "result.json"


@dataclasses.dataclass(frozen=True)
class Checked:
    """Everything that holds before torch is imported.

    `truth` is None where the data does not say what is right; `fit` is the answer kind's own.
    """

    task: Task
    kind: AnswerKind[Any, Any, Any]
    items: Items
    truth: Any
    checkpoint: Checkpoint
    fit: Any


def run(
    spec: EvaluationSpec, out_dir: str | os.PathLike[str], on_event: OnEvent = ignore
) -> EvaluationResult:
    """Evaluate as `spec` says; predictions and result are written into `out_dir` as well.

    The result has scores where the data says what is right, and predictions alone where not.

    Raises:
        UserError: the spec, the data or the model is at fault.
        PlatformError: this machine is.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(on_event)
    reporter.phase("loading")
    checked = check(spec)
    with tempfile.TemporaryDirectory() as scratch:
        model, execution, predictions = _predict(spec, checked, Path(scratch), reporter)
    reporter.phase("scoring")
    file = checked.kind.write(predictions, out / PREDICTIONS_FILE)
    result = _result(spec, checked, model, execution, file)
    refuse_too_many_errors(predictions, spec.max_error_share)
    result = _with_scores(result, checked, predictions)
    reporter.close()
    seconds = execution.seconds | reporter.seconds
    result = dataclasses.replace(result, execution=dataclasses.replace(execution, seconds=seconds))
    result.write(out / RESULT_FILE)
    return result


def check(spec: EvaluationSpec) -> Checked:
    """Data, truth and checkpoint, checked without torch. Raises UserError."""
    task = get_task(spec.task)
    kind = load_kind(task.answer)
    for name in spec.metrics:
        kind.metric(name)
    items = read_items(spec.data, task.inputs, task.truth)
    truth = kind.read_truth(items, spec) if kind.has_truth(items) else None
    model = spec.model
    checkpoint = open_checkpoint(
        Path(model.path),
        max_parameters=spec.max_parameters,
        base=None if model.base is None else Path(model.base.path),
        onnx=None if model.onnx is None else Path(model.onnx),
    )
    return Checked(task, kind, items, truth, checkpoint, kind.fit(checkpoint, items, spec))


def load_runner(task: Task) -> "Prepare":
    """The `prepare` function of the task's module; this imports torch."""
    prepare: Prepare = import_module(task.runner).prepare
    return prepare


def _predict(
    spec: EvaluationSpec, checked: Checked, scratch: Path, reporter: Reporter
) -> tuple[ModelFacts, Execution, Answered]:
    """Load, and run every item. torch is imported here and not before."""
    import torch

    from ml_core.device import exact_arithmetic, resolve_device, resolve_dtype, watch_memory
    from ml_core.evaluate.engine import run_batches
    from ml_core.evaluate.job import Request
    from ml_core.seeding import seed_everything

    engine = spec.engine
    if engine.threads is not None:
        torch.set_num_threads(engine.threads)
    seed_everything(engine.seed)
    device, dtype = resolve_device(engine.device), resolve_dtype(engine.dtype)
    watch_memory(device)
    staged = checked.checkpoint.stage(scratch)
    told = spec if checked.truth is None else checked.kind.for_child(spec, checked.truth)
    request = Request(told, checked.items, checked.fit, checked.checkpoint, staged, device, dtype)
    prepared = load_runner(checked.task)(request)
    plan = prepared.planned(engine.token_budget)
    reporter.phase("running")
    with exact_arithmetic():
        outputs = run_batches(
            plan,
            inputs=prepared.inputs,
            forward=prepared.forward,
            n_rows=len(prepared.lengths),
            slots=prepared.slots,
            reporter=reporter,
        )
    reporter.close()
    collected = prepared.collected(outputs)
    predictions = checked.kind.predictions(collected, checked.items, checked.fit)
    execution = _execution(
        request, prepared, plan, outputs, dict(reporter.seconds), n_errors=len(collected.errors)
    )
    return _model_facts(checked.checkpoint, prepared), execution, predictions


def _model_facts(checkpoint: Checkpoint, prepared: "Prepared") -> ModelFacts:
    return ModelFacts(
        architecture=prepared.architecture,
        model_type=checkpoint.config.model_type,
        parameters=prepared.n_parameters,
        stored_parameters=dict(checkpoint.weights.stored_parameters),
        weight_files=checkpoint.weights.files,
        removed_config_keys=checkpoint.config.removed_keys,
        adapter=adapter_facts(checkpoint),
    )


def adapter_facts(checkpoint: Checkpoint) -> AdapterFacts | None:
    adapter = checkpoint.adapter
    if adapter is None:
        return None
    ranks = sorted({factors.rank for factors in adapter.factors.values()})
    return AdapterFacts(
        tuple(ranks), len(adapter.factors), tuple(sorted(adapter.replaced)), adapter.n_parameters
    )


def _execution(
    request: "Request",
    prepared: "Prepared",
    plan: Plan,
    outputs: "Outputs",
    seconds: dict[str, float],
    *,
    n_errors: int,
) -> Execution:
    """How it was computed, as it came out."""
    import torch

    from ml_core.device import EXACT_ARITHMETIC, device_name, peak_memory_bytes

    return Execution(
        device=str(request.device),
        device_name=device_name(request.device),
        dtype=request.spec.engine.dtype,
        attention=prepared.attention,
        threads=torch.get_num_threads(),
        seed=request.spec.engine.seed,
        max_length=prepared.max_length,
        token_budget=plan.budget,
        batch_rows=prepared.max_rows,
        batch_sizes=histogram(outputs.batch_sizes),
        useful_slots=plan.useful_slots,
        padded_slots=outputs.padded_slots,
        oom_halvings=outputs.oom_halvings,
        n_items=len(request.items),
        n_truncated=int(prepared.truncated.sum()),
        n_errors=n_errors,
        seconds=seconds,
        notes=prepared.notes,
        path=prepared.path,
        arithmetic=dict(EXACT_ARITHMETIC),
        peak_device_memory_bytes=peak_memory_bytes(request.device),
        generation=prepared.generation() if prepared.generation else None,
    )


def _result(
    spec: EvaluationSpec,
    checked: Checked,
    model: ModelFacts,
    execution: Execution,
    file: PredictionsFile,
) -> EvaluationResult:
    from ml_core.device import environment_facts, resolve_device

    facts = checked.kind.label_facts(checked.fit)
    return EvaluationResult(
        task=spec.task,
        spec=spec,
        labels=facts.labels,
        label_map=facts.label_map,
        model=model,
        execution=execution,
        environment=environment_facts(resolve_device(execution.device)),
        predictions=file,
    )


def _with_scores(
    result: EvaluationResult, checked: Checked, predictions: Answered
) -> EvaluationResult:
    """`result` with scores, where what is right is at hand."""
    if checked.truth is None:
        return result
    spec = result.spec
    found = assess(
        checked.kind,
        predictions,
        checked.truth,
        checked.items.marks,
        metrics=spec.metrics or checked.task.metrics,
        setting=setting_of(spec, predictions),
    )
    return dataclasses.replace(result, scores=found.scores)


def setting_of(spec: EvaluationSpec, predictions: Answered) -> Setting:
    """What metrics need besides the answers."""
    return Setting(predictions.n_missing, spec.bootstrap_draws, spec.engine.seed)


def refuse_too_many_errors(predictions: Answered, max_error_share: float) -> None:
    """Raise `too_many_item_errors`, or `out_of_memory` where that is what all of them say."""
    failed = [(i, e) for i, e in zip(predictions.item_ids, predictions.errors, strict=True) if e]
    n_items = len(predictions.item_ids)
    if len(failed) <= max_error_share * n_items:
        return
    causes = sorted({error for _, error in failed})
    item, error = failed[0]
    if causes == ["out_of_memory"]:
        raise UserError(
            Code.OUT_OF_MEMORY,
            f"{len(failed)} of {n_items} items need more memory than the job has, even one at "
            "a time.",
            n_failed=len(failed),
        )
    raise UserError(
        Code.TOO_MANY_ITEM_ERRORS,
        f"{len(failed)} of {n_items} items gave no prediction, more than the share of "
        f"{max_error_share:.0%} allowed. The first, item {item}: {_explain(error)}.",
        n_failed=len(failed),
        causes=causes[:10],
        item_id=item,
    )


def _explain(error: str) -> str:
    return "the model's outputs are not finite numbers" if error == "not_finite" else error
