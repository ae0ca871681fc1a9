"""Everything about a fine-tuning that can be checked before torch is imported."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml_core.answers import load_kind
from ml_core.answers.kind import AnswerKind
from ml_core.answers.tags import TagTruth
from ml_core.arrays import Ints
from ml_core.data.labels import LabelMap, Truth, label_names, resolve_label_map
from ml_core.data.rows import sha256_of
from ml_core.data.schema import Items, read_items
from ml_core.errors import Code, UserError
from ml_core.evaluate.tasks import get_task
from ml_core.load.checkpoint import Checkpoint, open_checkpoint
from ml_core.metrics.spans import NEED_IOB2, iob2_scheme
from ml_core.specs import DataSpec, EvaluationSpec
from ml_core.train.judging import Judge, KindJudge, LossJudge
from ml_core.train.recipes import Recipe, get_recipe
from ml_core.train.specs import FinetuneSpec
from ml_core.train.split import hold_back, take

MAX_SHOWN = 10


@dataclass(frozen=True)
class Checked:
    """A recipe, the rows to train on, the rows to judge by, and the base.

    `truth` is that of `items`, None for recipes without. `leaked` rows to judge by are also
    trained on. `identity` is the same for every try of the same training, wherever its files lie.
    """

    recipe: Recipe
    items: Items
    truth: Any
    labels: tuple[str, ...]
    validation: Items
    judge: Judge
    checkpoint: Checkpoint
    leaked: int
    identity: str


def check(spec: FinetuneSpec) -> Checked:
    """Recipe, data, labels and base. Raises UserError."""
    recipe = get_recipe(spec.recipe)
    if spec.training.method not in recipe.methods:
        raise UserError(
            Code.SPEC_INVALID,
            f"The recipe {recipe.name} has the methods {', '.join(recipe.methods)} alone.",
        )
    checkpoint = open_checkpoint(Path(spec.model.path), max_parameters=spec.max_parameters)
    items = read_items(spec.train, recipe.inputs, recipe.truth)
    held = read_items(spec.validation, recipe.inputs, recipe.truth) if spec.validation else None
    labels: tuple[str, ...] = ()
    if recipe.task is None:
        train, validation = _parted(spec, items, held, None)
        judge: Judge = LossJudge(spec.engine.seed)
        truth = None
    else:
        kind = load_kind(get_task(recipe.task).answer)
        told = _told(spec, recipe, kind, items)
        whole = kind.read_truth(items, told)
        labels = told.labels or ()
        train, validation = _parted(spec, items, held, _strata(whole))
        truth = kind.read_truth(train, told)
        refuse_absent(truth)
        judge = _judge(spec, recipe, kind, told, validation)
    leaked = count_leaked(train, validation)
    identity = identity_of(spec, checkpoint)
    return Checked(recipe, train, truth, labels, validation, judge, checkpoint, leaked, identity)


def _told(
    spec: FinetuneSpec, recipe: Recipe, kind: AnswerKind[Any, Any, Any], items: Items
) -> EvaluationSpec:
    """The evaluation that judges, with the labels of the training data."""
    assert recipe.task is not None
    asked = EvaluationSpec(
        recipe.task,
        spec.model,
        spec.train,
        labels=spec.labels,
        engine=spec.engine,
        bootstrap_draws=spec.bootstrap_draws,
    )
    if kind.name == "label" and spec.labels is None:
        return replace(asked, labels=label_names(items, None))
    return replace(asked, labels=kind.label_names(kind.read_truth(items, asked)))


def _judge(
    spec: FinetuneSpec,
    recipe: Recipe,
    kind: AnswerKind[Any, Any, LabelMap],
    told: EvaluationSpec,
    validation: Items,
) -> KindJudge:
    labels = told.labels or ()
    metrics = spec.metrics or recipe.metrics
    if kind.name == "tags" and iob2_scheme(labels) is None and not spec.metrics:
        metrics = tuple(name for name in metrics if name not in NEED_IOB2)
    for name in metrics:
        kind.metric(name)
    truth = kind.read_truth(validation, replace(told, metrics=metrics))
    fit = resolve_label_map(labels, labels)
    return KindJudge(kind, validation, truth, fit, metrics, spec.engine.seed)


def _parted(
    spec: FinetuneSpec, items: Items, held: Items | None, strata: Ints | None
) -> tuple[Items, Items]:
    """The rows to train on and those to judge by."""
    if held is not None:
        return items, held
    share, seed = spec.training.validation_share, spec.engine.seed
    kept, back = hold_back(len(items), strata, share=share, seed=seed)
    return take(items, kept), take(items, back)


def _strata(truth: Any) -> Ints | None:
    return truth.label_index if isinstance(truth, Truth) else None


def refuse_absent(truth: Truth | TagTruth) -> None:
    """Raise `dataset_class_absent` where a label has no example, or there are not two.

    Tags may be absent, for few data sets have all of them; one alone teaches nothing.
    """
    is_tags = isinstance(truth, TagTruth)
    seen = np.concatenate(truth.tags) if isinstance(truth, TagTruth) else truth.label_index
    counts = np.bincount(seen, minlength=len(truth.labels))
    absent = [name for name, n in zip(truth.labels, counts, strict=True) if n == 0]
    if (counts > 0).sum() >= 2 and (is_tags or not absent):
        return
    if (counts > 0).sum() < 2:
        only = truth.labels[int(counts.argmax())]
        problem = f"Every training row has the label {only!r}; a classifier needs two or more"
    else:
        shown = ", ".join(repr(name) for name in absent[:MAX_SHOWN])
        problem = f"The training rows have no example of {len(absent)} labels: {shown}"
    raise UserError(
        Code.CLASS_ABSENT,
        f"{problem}. Add examples, or leave labels without any out of the list.",
        labels=absent[:MAX_SHOWN],
    )


def count_leaked(train: Items, validation: Items) -> int:
    """Rows to judge by whose inputs are, word for word, those of a row trained on."""
    known = set(_digests(train))
    return sum(digest in known for digest in _digests(validation))


def _digests(items: Items) -> Iterable[bytes]:
    columns = [items.inputs.column(name).to_pylist() for name in items.inputs.column_names]
    for row in zip(*columns, strict=True):
        yield hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def identity_of(spec: FinetuneSpec, checkpoint: Checkpoint) -> str:
    """SHA-256 over all that the weights of the result depend on."""
    told = spec.to_json()
    engine = {name: getattr(spec.engine, name) for name in ("dtype", "seed", "max_length")}
    kept = {name: told[name] for name in ("recipe", "labels", "training", "metrics", "version")}
    files = [*spec.train.files, *(spec.validation.files if spec.validation else ())]
    weights = [checkpoint.folder / name for name in checkpoint.weights.files]
    content = {
        "spec": kept,
        "engine": engine,
        "data": [_what(spec.train), _what(spec.validation)],
        "files": [sha256_of(path) for path in (*map(Path, files), *weights)],
        "config": dict(checkpoint.config.values),
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _what(data: DataSpec | None) -> dict[str, object] | None:
    return None if data is None else {"columns": data.columns, "limit": data.limit}
