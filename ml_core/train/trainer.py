"""transformers' Trainer over our steps: their loop, optimizer, scaling and devices; our batches,
loss and checkpoints."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import free_memory, is_out_of_memory
from ml_core.evaluate.transfer import send
from ml_core.train.objectives import Objective
from ml_core.train.sampler import StepPlan, parts_of
from ml_core.train.specs import FinetuneSpec
from ml_core.train.weights import load_weights, save_weights

STATE_FILE = "trainer_state.json"

logger = logging.getLogger(__name__)


class StepTrainer(Trainer):
    """Makes the steps of a plan.

    The loss of a step is its sum over the step's units divided by the mean units of all steps, so
    that examples count alike; how a step is computed in parts changes it by rounding alone.
    `loss_sum` and `units` gather what was seen until somebody takes it.
    """

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        *,
        objective: Objective,
        plan: StepPlan,
        budget: int,
        max_rows: int | None,
        rate: Callable[[int], float],
        callbacks: list[TrainerCallback],
    ) -> None:
        self.objective: Objective = objective
        self.plan: StepPlan = plan
        self.rate: Callable[[int], float] = rate
        self.budget: int = budget
        self.max_rows: int | None = max_rows
        self.oom_halvings = 0
        self.padded_slots = 0
        self.loss_sum = torch.zeros((), device=arguments.device, dtype=torch.float64)
        super().__init__(model=model, args=arguments, callbacks=callbacks)
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Row numbers, a batch a step. Inputs are made of them in parts, in `training_step`."""
        numbers: Any = range(len(self.plan.lengths))
        steps: Any = [rows.tolist() for rows in self.plan]
        return DataLoader(numbers, batch_sampler=steps, collate_fn=_as_rows)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        chosen = optimizer or self.optimizer
        assert chosen is not None
        schedule = LambdaLR(chosen, self.rate)
        self.lr_scheduler = schedule
        self._created_lr_scheduler = True
        return schedule

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Forward and backward over a step; halves what is computed at once where memory ends."""
        model.train()
        rows = inputs["rows"].numpy()
        while True:
            try:
                return self._backward(model, rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler, whose traceback holds what the step had computed.
            model.zero_grad()
            free_memory()
            self._halve(rows)

    def floating_point_ops(self, inputs: Any) -> int:
        """Nobody asks for them, and inputs are row numbers."""
        return 0

    @property
    def trained(self) -> nn.Module:
        """The model, without what devices wrap it in."""
        assert self.model is not None
        return self.model

    def save_state(self, folder: Path) -> None:
        """Everything needed to go on from here as if nothing had happened."""
        save_weights(self.trained, folder)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_rng_state(str(folder))
        self.state.save_to_json(str(folder / STATE_FILE))

    def take_loss(self) -> float:
        """The loss summed over all units since this was last asked."""
        total = float(self.loss_sum.item())
        self.loss_sum.zero_()
        return total

    def _backward(self, model: nn.Module, rows: Rows) -> torch.Tensor:
        lengths = self.plan.lengths
        total = torch.zeros_like(self.loss_sum)
        padded = 0
        epoch = int(self.plan.epoch(self.state.global_step))
        for part in parts_of(rows, lengths, budget=self.budget, max_rows=self.max_rows):
            made = self.objective.inputs(part, epoch)
            given = {name: send(tensor, self.args.device) for name, tensor in made.items()}
            with self.compute_loss_context_manager():
                loss = self.objective.loss(model, given)
            self.accelerator.backward(loss / self.plan.units_per_step)
            total += loss.detach()
            padded += len(part) * int(lengths[part].max())
        self.loss_sum += total
        self.padded_slots += padded
        return (total / self.plan.units_per_step).float()

    def _halve(self, rows: Rows) -> None:
        """Raise UserError `out_of_memory` where a single row does not fit."""
        lengths = self.plan.lengths[rows]
        if self.budget <= int(lengths.max()) and self.max_rows in (None, 1):
            raise UserError(
                Code.OUT_OF_MEMORY,
                "Training needs more memory than the job has, even one row at a time. Choose a "
                "smaller model, a shorter max_length, or LoRA.",
            )
        largest = min(self.budget, int(lengths.max()) * len(rows))
        self.budget = max(1, largest // 2)
        self.max_rows = None if self.max_rows is None else max(1, self.max_rows // 2)
        self.oom_halvings += 1
        logger.warning("out of memory: computing at most %d slots at once", self.budget)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.trained, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or self.optimizer is None or self.lr_scheduler is None:
            return
        # The rate of the checkpoint's next step may have been cut since it was written.
        for group, base in zip(
            self.optimizer.param_groups, self.lr_scheduler.base_lrs, strict=True
        ):
            group["lr"] = base * self.rate(self.lr_scheduler.last_epoch)


def arguments_for(
    spec: FinetuneSpec, scratch: Path, device: torch.device, *, n_steps: int, learning_rate: float
) -> TrainingArguments:
    """Their arguments: nothing is logged, evaluated or saved but by us."""
    training = spec.training
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=n_steps,
        learning_rate=learning_rate,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim="adamw_torch_fused" if device.type == "cuda" else "adamw_torch",
        seed=spec.engine.seed,
        use_cpu=device.type == "cpu",
        bf16=spec.engine.dtype == "bfloat16",
        per_device_train_batch_size=1,
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        logging_nan_inf_filter=False,
    )


def _as_rows(rows: list[int]) -> dict[str, torch.Tensor]:
    return {"rows": torch.from_numpy(np.array(rows, dtype=np.int64))}
