"""One fine-tuning from spec to result: check, load, judge, train, save, load again, judge."""

import os
import tempfile
from pathlib import Path

from ml_core.errors import Code, UserError
from ml_core.evaluate.events import OnEvent, ignore
from ml_core.train.checking import check
from ml_core.train.checkpoints import adopt, clear, find_checkpoint, locate
from ml_core.train.events import Evaluated, Note, Resumed
from ml_core.train.judging import Judged
from ml_core.train.progress import Progress
from ml_core.train.reporting import ShouldStop, TrainingReporter, never
from ml_core.train.results import EvalPoint, FinetuneResult, Resume
from ml_core.train.session import Session, begin, judge
from ml_core.train.specs import FinetuneSpec

RESULT_FILE = "result.json"
RATE_CUT = 0.25
"""What is left of the learning rate after the loss was no number."""


def run(
    spec: FinetuneSpec,
    out_dir: str | os.PathLike[str],
    on_event: OnEvent = ignore,
    should_stop: ShouldStop = never,
) -> FinetuneResult:
    """Fine-tune as `spec` says; the new model, its card and the result are written into `out_dir`.

    Where `out_dir` or `spec.resume_from` holds checkpoints of the same training, it goes on from
    the newest that is whole, to the same weights as if it had never been interrupted.

    Args:
        should_stop: asked after each step; once it says so, a checkpoint is written and
            PlatformError `interrupted` raised.

    Raises:
        UserError: the spec, the data or the model is at fault.
        PlatformError: this machine is, or the job was asked to stop.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    reporter = TrainingReporter(on_event, should_stop)
    reporter.phase("loading")
    checked = check(spec)
    from ml_core.device import exact_arithmetic
    from ml_core.train.output import finish

    with tempfile.TemporaryDirectory() as scratch, exact_arithmetic():
        session = begin(spec, checked, out, Path(scratch), reporter)
        reporter.phase("before")
        before = judge(session, session.objective.loaded)
        reporter.send(Evaluated(step=0, metrics=_values(before), is_best=False))
        reporter.phase("training")
        train(session, EvalPoint(0, _values(before)))
        result = finish(session, before)
    result.write(out / RESULT_FILE)
    return result


def train(session: Session, base: EvalPoint) -> None:
    """All steps, from the newest checkpoint where there is one; the best weights are in the model.

    Raises:
        UserError: `loss_not_finite` where a lower learning rate did not help.
    """
    from ml_core.train.loop import LossNotFinite
    from ml_core.train.weights import load_weights

    start = _resume(session, base)
    while not is_over(session):
        try:
            _attempt(session, start)
            break
        except LossNotFinite as lost:
            start = _cut_rate(session, base, lost.step)
    best = session.progress.best_step
    folder = None if best is None else locate(session.roots, best, session.checked.identity)
    if folder is not None:
        load_weights(session.model, folder)
    else:
        session.progress.best_step = session.progress.step
        session.notes.append("the best checkpoint was lost: the result is the last step")


def is_over(session: Session) -> bool:
    """Whether no step is left to make, as after a try that died behind its last checkpoint."""
    patience = session.spec.training.patience
    is_stale = patience is not None and session.progress.stale_evals >= patience
    return is_stale or session.progress.step >= len(session.plan)


def _resume(session: Session, base: EvalPoint) -> Path | None:
    """The checkpoint to go on from; `session.progress` is then where it stands."""
    identity, root = session.checked.identity, session.roots[0]
    found = find_checkpoint(session.roots, identity)
    session.progress = Progress(eval=[base])
    if found.folder is None:
        clear(root, keep=0, best_step=None)
        return None
    session.progress = Progress.read(found.folder)
    session.resumed = Resume(session.progress.step, found.skipped)
    session.reporter.send(Resumed(**vars(session.resumed)))
    best = session.progress.best_step
    best_folder = locate(session.roots, best, identity) if best is not None else None
    for folder in (found.folder, best_folder):
        if folder is not None:
            adopt(folder, root)
    clear(root, keep=session.spec.max_checkpoints, best_step=best, above=session.progress.step)
    return found.folder


def _cut_rate(session: Session, base: EvalPoint, step: int) -> Path | None:
    """Back to the newest good checkpoint, or to the start, with a lower learning rate."""
    if session.progress.learning_rate_factor < 1:
        raise UserError(
            Code.LOSS_NOT_FINITE,
            f"The loss was no finite number at step {step}, also at a quarter of the learning "
            f"rate of {session.learning_rate:g}. Choose a lower one, and look for broken rows.",
            step=step,
        )
    found = find_checkpoint(session.roots, session.checked.identity)
    if found.folder is None:
        fresh = begin(session.spec, session.checked, session.out, session.scratch, session.reporter)
        session.objective, session.model = fresh.objective, fresh.model
        session.progress = Progress(eval=[base])
    else:
        session.progress = Progress.read(found.folder)
    session.progress.learning_rate_factor = RATE_CUT
    note = (
        f"The loss was no finite number at step {step}: training went back to step "
        f"{session.progress.step}, with a quarter of the learning rate."
    )
    session.notes.append(note)
    session.reporter.send(Note("learning_rate_cut", note))
    return found.folder


def _attempt(session: Session, start: Path | None) -> None:
    """The steps from `start` to the end, by one trainer."""
    from ml_core.train.loop import Places, Watch
    from ml_core.train.schedule import rate_of
    from ml_core.train.trainer import StepTrainer, arguments_for

    spec, plan, objective = session.spec, session.plan, session.objective
    watch = Watch(
        spec,
        plan,
        session.progress,
        judge=lambda: judge(session, session.objective.loaded, is_quiet=True),
        main_metric=session.checked.judge.metrics[0],
        learning_rate=session.learning_rate,
        places=Places(session.roots[0], session.checked.identity, spec.max_checkpoints),
        reporter=session.reporter,
    )
    trainer = StepTrainer(
        session.model,
        arguments_for(
            spec,
            session.scratch,
            session.device,
            n_steps=len(plan),
            learning_rate=session.learning_rate,
        ),
        objective=objective,
        plan=plan,
        budget=session.budget,
        max_rows=objective.max_rows,
        rate=rate_of(
            spec.training.schedule,
            n_steps=len(plan),
            warmup_share=spec.training.warmup_share,
            factor=session.progress.learning_rate_factor,
        ),
        callbacks=[watch],
    )
    watch.trainer = trainer
    try:
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
    finally:
        session.budget, session.oom_halvings = trainer.budget, trainer.oom_halvings


def _values(judged: Judged) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in judged.scores.metrics}
