"""A fine-tuning under way: what was loaded and planned, and the judging of a model in it."""

import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_core.evaluate.batching import plan_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.results import ModelFacts
from ml_core.train.checking import Checked
from ml_core.train.judging import Judged
from ml_core.train.progress import Progress
from ml_core.train.reporting import TrainingReporter
from ml_core.train.results import Resume
from ml_core.train.sampler import StepPlan, plan_steps
from ml_core.train.specs import FinetuneSpec

if TYPE_CHECKING:
    import torch

    from ml_core.load.model import LoadedModel
    from ml_core.train.objectives import Objective

CHECKPOINTS = "checkpoints"


@dataclass
class Session:
    """What was loaded, and how far it is.

    `model` is what is trained: the objective's own, or what LoRA wrapped it in. `budget` bounds the
    slots computed at once; it falls where memory runs out.
    """

    spec: FinetuneSpec
    checked: Checked
    out: Path
    scratch: Path
    reporter: TrainingReporter
    device: "torch.device"
    objective: "Objective"
    model: Any  # peft's model class has no types
    plan: StepPlan
    step_slots: int
    progress: Progress
    notes: list[str]
    budget: int
    oom_halvings: int = 0
    resumed: Resume | None = None

    @property
    def learning_rate(self) -> float:
        training = self.spec.training
        width = self.checked.checkpoint.config.values.get("hidden_size")
        rate = self.checked.recipe.learning_rate(
            training.method, width=width if isinstance(width, int) else None
        )
        return training.learning_rate or rate

    @property
    def roots(self) -> list[Path]:
        """Folders that checkpoints of this training may be in; it writes into the first."""
        earlier = self.spec.resume_from
        return [self.out / CHECKPOINTS, *([Path(earlier)] if earlier else [])]


def begin(
    spec: FinetuneSpec, checked: Checked, out: Path, scratch: Path, reporter: TrainingReporter
) -> Session:
    """Load the base and plan the steps. torch is imported here and not before."""
    import torch

    from ml_core.device import resolve_device, watch_memory
    from ml_core.seeding import seed_everything
    from ml_core.train.adapters import add_lora
    from ml_core.train.objectives import Request

    engine, training = spec.engine, spec.training
    if engine.threads is not None:
        torch.set_num_threads(engine.threads)
    device = resolve_device(engine.device)
    watch_memory(device)
    seed_everything(engine.seed)
    staged = Path(tempfile.mkdtemp(dir=scratch))
    request = Request(
        spec,
        checked.items,
        checked.truth,
        checked.labels,
        checked.validation,
        checked.checkpoint,
        checked.checkpoint.stage(staged),
        device,
    )
    objective: Objective = import_module(checked.recipe.objective).prepare(request)
    model: Any = objective.loaded.model
    if training.method == "lora":
        model = add_lora(model, objective.fresh, training, base=spec.model.repo)
    customary = checked.recipe.slots_of_step(float(objective.lengths.mean()))
    step_slots = training.step_slots or customary
    plan = plan_steps(
        objective.lengths,
        objective.units,
        step_slots=step_slots,
        epochs=training.epochs,
        seed=engine.seed,
        max_steps=training.max_steps,
    )
    notes = list(objective.notes)
    if checked.leaked:
        notes.append(f"rows to judge by that are trained on as well: {checked.leaked}")
    return Session(
        spec=spec,
        checked=checked,
        out=out,
        scratch=scratch,
        reporter=reporter,
        device=device,
        objective=objective,
        model=model,
        plan=plan,
        step_slots=step_slots,
        progress=Progress(),
        notes=notes,
        budget=engine.token_budget or objective.budget,
    )


def judge(session: Session, loaded: "LoadedModel", *, is_quiet: bool = False) -> Judged:
    """Answers and scores of a model on the rows held back.

    Args:
        is_quiet: in the middle of training: no progress of its own, and no bootstrap.
    """
    from ml_core.evaluate.engine import run_batches

    engine = session.spec.engine
    loaded.model.train(False)
    prepared = session.objective.answer(loaded)
    budget = engine.token_budget or prepared.default_budget
    outputs = run_batches(
        plan_batches(prepared.lengths, budget=budget, max_rows=prepared.max_rows),
        inputs=prepared.inputs,
        forward=prepared.forward,
        n_rows=len(prepared.lengths),
        slots=prepared.slots,
        reporter=Reporter(ignore) if is_quiet else session.reporter,
    )
    n_draws = 0 if is_quiet else session.spec.bootstrap_draws
    return session.checked.judge.judge(prepared.collected(outputs), n_draws=n_draws)


def facts_of(checked: Checked, loaded: "LoadedModel", n_parameters: int) -> ModelFacts:
    """What was loaded as the base."""
    checkpoint = checked.checkpoint
    return ModelFacts(
        architecture=type(loaded.model).__name__,
        model_type=checkpoint.config.model_type,
        parameters=n_parameters,
        stored_parameters=dict(checkpoint.weights.stored_parameters),
        weight_files=checkpoint.weights.files,
        removed_config_keys=checkpoint.config.removed_keys,
    )
