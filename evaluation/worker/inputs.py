"""From a frozen spec to a job: inputs for the cage, what is right for us alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from evaluation.errors import JobFailed
from evaluation.worker.fetch import Source, fetch_files, list_files
from evaluation.worker.splits import CARD, find_split
from evaluation.worker.work import as_failure
from ml_core.answers import load_kind
from ml_core.answers.kind import AnswerKind
from ml_core.asking import AskingSpec, Example
from ml_core.data.examples import choose_examples
from ml_core.data.withhold import Withheld, withhold_truth
from ml_core.errors import CoreError
from ml_core.evaluate.tasks import get_task
from ml_core.generation import ComparisonSpec, GenerationSpec
from ml_core.records import from_json
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec


@dataclasses.dataclass(frozen=True)
class Job:
    """`withheld.spec` goes into the cage; `spec` is what was asked; `files` are those of the split
    by their path in the repository."""

    spec: EvaluationSpec
    kind: AnswerKind[Any, Any, Any]  # of the task; its truth and predictions have types of its own
    withheld: Withheld
    files: dict[str, Path]


def prepare_job(
    spec: dict[str, Any],
    *,
    dataset: Source,
    model: Path,
    inputs: Path,
    hidden: Path,
    memory: Path,
    base: Path | None = None,
) -> Job:
    """Fetches the split, checks it, and parts inputs from what is right.

    Args:
        spec: as `evaluation.spec.build_spec` makes it.
        model: folder with the model's files.
        base: folder with those of the base, where the model is an adapter.
        inputs: folder that the job may read.
        hidden: folder that it may not: the data as it is.
        memory: where knowledge about commits is kept between runs.

    Raises:
        JobFailed: the data cannot be fetched or used.
    """
    task = spec["task"]
    data = fetch_split(
        dataset,
        config=task["config"],
        split=task["split"],
        folder=hidden / "data",
        memory=memory,
    )
    labels = _labels(task, data)
    asked = core_spec(spec, model=model, base=base, files=data.paths, labels=labels)
    examples = _examples(asked, dataset, folder=hidden / "examples" / "data", memory=memory)
    asked = dataclasses.replace(asked, examples=examples)
    try:
        family = get_task(asked.task)
        withheld = withhold_truth(asked, family, inputs)
    except CoreError as error:
        raise as_failure(error) from error
    kind = load_kind(family.answer)
    return Job(asked, kind, withheld, data.originals)


@dataclasses.dataclass(frozen=True)
class SplitData:
    """A split on this machine: `paths` to read, `originals` by their path in the repository,
    `labels` as `splits.Split` has them."""

    paths: list[Path]
    originals: dict[str, Path]
    labels: dict[str, list[str]]


def fetch_split(
    dataset: Source, *, config: str | None, split: str, folder: Path, memory: Path
) -> SplitData:
    """The files of a split below the new `folder`, made into parquet where they must be converted.

    Raises:
        JobFailed: the data cannot be fetched or used.
    """
    found = find_split(dataset, config=config, split=split, memory=memory)
    fetched = fetch_files(dataset, found.files, _made(folder))
    paths = fetched if found.is_plain else [_converted(dataset, folder, config, split)]
    return SplitData(paths, dict(zip(found.files, fetched, strict=True)), found.labels)


def _examples(
    asked: EvaluationSpec, dataset: Source, *, folder: Path, memory: Path
) -> tuple[Example, ...]:
    """What is shown with its answers, from the split that the benchmark names for that."""
    few_shot = asked.asking.few_shot
    if few_shot is None:
        return ()
    config, split = asked.data.config, few_shot.split
    found = fetch_split(dataset, config=config, split=split, folder=folder, memory=memory)
    data = dataclasses.replace(
        asked.data, files=tuple(str(path) for path in found.paths), split=split
    )
    try:
        return choose_examples(dataclasses.replace(asked, data=data), few_shot)
    except CoreError as error:
        raise as_failure(error) from error


def core_spec(
    spec: dict[str, Any],
    *,
    model: Path,
    files: list[Path],
    labels: tuple[str, ...] | None,
    base: Path | None = None,
) -> EvaluationSpec:
    """The spec as `ml_core` takes it, with the folders of this machine."""
    task, engine = spec["task"], spec["engine"]
    label_map = spec.get("label_map")
    try:
        return EvaluationSpec(
            task=task["type"],
            model=model_spec(spec, model, base),
            data=DataSpec(
                files=tuple(str(file) for file in files),
                columns=dict(task["columns"]),
                repo=spec["dataset"]["repo"],
                revision=spec["dataset"]["commit"],
                config=task["config"],
                split=task["split"],
            ),
            labels=labels,
            label_map=dict(label_map) if label_map else None,
            generation=from_json(GenerationSpec, task.get("generation") or {}),
            comparison=from_json(ComparisonSpec, task.get("comparison") or {}),
            asking=from_json(AskingSpec, task.get("asking") or {}),
            metrics=tuple(task["metrics"]),
            templates=tuple(task.get("templates", ())),
            engine=EngineSpec(dtype=engine["dtype"], device=engine["device"], seed=engine["seed"]),
        )
    except CoreError as error:
        raise as_failure(error) from error


def model_spec(spec: dict[str, Any], model: Path, base: Path | None) -> ModelSpec:
    """The model of a spec in its folder, and its base in its own; predictions name neither."""
    asked, under = spec.get("model", {}), None
    if base is not None:
        under = ModelSpec(str(base), spec["base"]["repo"], spec["base"]["commit"])
    return ModelSpec(str(model), asked.get("repo"), asked.get("commit"), under)


def _labels(task: dict[str, Any], split: SplitData) -> tuple[str, ...] | None:
    """Names from `eval.yaml`, else from the card; None leaves them to the data file."""
    if task["labels"]:
        return tuple(task["labels"])
    columns = [task["columns"].get(role.name, role.name) for role in get_task(task["type"]).truth]
    names = next((split.labels[column] for column in columns if column in split.labels), None)
    return tuple(names) if names else None


def _converted(dataset: Source, folder: Path, config: str | None, split: str) -> Path:
    """One parquet file made by the `datasets` library from whatever the split is kept in."""
    from datasets import load_dataset

    fetch_files(dataset, _card_of(dataset), folder)
    target = folder.with_name(f"{folder.name}.parquet")
    try:
        table = load_dataset(
            str(folder),
            name=config,
            split=split,
            cache_dir=str(folder.with_name(f"{folder.name}-converted")),
        )
        with_files_inside(table, folder).to_parquet(str(target))
    except JobFailed:
        raise
    except Exception as error:
        text = str(error).replace(str(folder), "the data set").splitlines() or [""]
        message = f"The data files cannot be read: {text[0][:500]}"
        raise JobFailed("user", "dataset_unreadable", message, problem=text[0][:500]) from error
    return target


def with_files_inside(table: Any, folder: Path) -> Any:
    """`table` with its images as bytes; those it names by path must lie in `folder`.

    Raises:
        JobFailed: a row names a file that is not of the data set.
    """
    from datasets import Image
    from datasets.table import embed_table_storage

    images = [column for column, kind in table.features.items() if isinstance(kind, Image)]
    for column in images:
        table = table.cast_column(column, Image(decode=False))
    if not images:
        return table
    root = folder.resolve()
    for row in table.select_columns(images):
        for value in row.values():
            named = value and value["bytes"] is None and value["path"]
            if named and not Path(named).resolve().is_relative_to(root):
                text = "A row of the data names a file outside the data set."
                raise JobFailed("user", "dataset_files_outside", text)
    return table.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)


def _card_of(dataset: Source) -> list[str]:
    return [file.path for file in list_files(dataset) if file.path == CARD]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
