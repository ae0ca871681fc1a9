"""A checkpoint with a head of its own that is still to be trained.

The base must be whole, as everywhere; what lies outside of it, and the pooler that some heads read,
may be missing, of another size, or left over from an earlier head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from ml_core.load.model import (
    LoadedModel,
    check_report,
    class_for,
    read_weights,
    report_without,
)

POOLER = "pooler."


@dataclass(frozen=True)
class Headed:
    """A model ready to be trained, and the names of its weights that began at random."""

    loaded: LoadedModel
    fresh: tuple[str, ...]


def name_labels(config: PreTrainedConfig, labels: tuple[str, ...]) -> bool:
    """Make `config` one of a classifier of `labels`; True where it was one of just these."""
    was = getattr(config, "id2label", None) or {}
    is_same = [was.get(at) for at in range(len(was))] == list(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: at for at, name in enumerate(labels)}
    config.problem_type = "single_label_classification"
    return is_same


def load_with_head(
    folder: Path,
    config: PreTrainedConfig,
    classes: Mapping[type, Any],  # transformers' own lazy mapping type is private
    *,
    purpose: str,
    max_parameters: int,
    device: torch.device,
    keep_head: bool,
) -> Headed:
    """The model of `config` in float32: its base from `folder`, its head new.

    The new weights are drawn from torch's generator, which the caller has seeded.

    Args:
        folder: as `Checkpoint.stage` made it.
        keep_head: take over the head in the folder, where it fits: it is of the same labels.

    Raises:
        UserError: as `load_model` does.
    """
    model_class = class_for(config, classes, purpose, max_parameters)
    model, report, attention = read_weights(folder, config, model_class, torch.float32)
    base = f"{model_class.base_model_prefix}."
    # What is missing, mismatched or left over may be so outside of the base alone.
    names = [name for name, _ in model.named_parameters()]
    strangers = [*report.get("missing_keys", ()), *report.get("unexpected_keys", ())]
    strangers += [name for name, *_ in report.get("mismatched_keys", ())]
    head = tuple(n for n in {*names, *strangers} if not n.startswith(base) or _is_pooler(n, base))
    check_report(report_without(report, head), purpose)
    missing = {*report.get("missing_keys", ())}
    missing |= {name for name, *_ in report.get("mismatched_keys", ())}
    if not keep_head:
        missing |= _renew(model, model_class, [n for n in names if not n.startswith(base)], missing)
    fresh = tuple(sorted(missing.intersection(names)))
    model = model.to(device)
    n_parameters = sum(p.numel() for p in model.parameters())
    return Headed(LoadedModel(model, n_parameters, attention), fresh)


def _is_pooler(name: str, base: str) -> bool:
    return name.removeprefix(base).startswith(POOLER)


def _renew(model: PreTrainedModel, model_class: Any, names: list[str], fresh: set[str]) -> set[str]:
    """Draw those of `names` anew that came from the checkpoint; the names of all that are new.

    An old head of as many labels would fit and mean something else.
    """
    old = [name for name in names if name not in fresh]
    if old:
        drawn = dict(model_class(model.config).named_parameters())
        ours = dict(model.named_parameters())
        with torch.no_grad():
            for name in old:
                ours[name].copy_(drawn[name])
    return set(names)
