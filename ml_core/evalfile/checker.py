"""The rules of the fields of an `eval.yaml`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, get_args

from ml_core.answers.filters import compile_filters
from ml_core.asking import AskingSpec
from ml_core.errors import UserError
from ml_core.evalfile.spec import Baseline, EvalFile, TaskSpec
from ml_core.evalfile.submissions import (
    COMPUTED,
    MAX_SYSTEM_NAME,
    check_halves,
    check_submissions,
)
from ml_core.evalfile.values import Values, join, shown
from ml_core.evaluate.tasks import TASKS, Task
from ml_core.generation import REFUSAL, ComparisonSpec, GenerationSpec
from ml_core.metrics.registry import Metric
from ml_core.records import RecordError, from_json
from ml_core.specs import Dtype

MAX_TASKS = 20
MAX_LABELS = 2000
MAX_BASELINES = 20
MAX_TEMPLATES = 100
OUR_FRAMEWORK = "modelguild"

T = TypeVar("T")

TOP_FIELDS = ("name", "description", "evaluation_framework", "tasks")
TASK_FIELDS = (
    "id",
    "name",
    "description",
    "type",
    "config",
    "split",
    "columns",
    "labels",
    "templates",
    "metrics",
    "chance",
    "baselines",
    "generation",
    "comparison",
    "asking",
    "dtype",
    "replay_tolerance",
    "submissions",
    "halves",
)
TASK_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
SPLIT = re.compile(r"\w[\w.-]{0,99}\Z")
RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


class Checker(Values):
    """The whole file; what is wrong with one task leaves the others as they are."""

    def check_file(self, data: dict[Any, Any]) -> EvalFile:
        framework = data.get("evaluation_framework", OUR_FRAMEWORK)
        name = self.text(data, "name", "name", limit=150) or ""
        description = self.text(data, "description", "description", limit=5000) or ""
        if framework != OUR_FRAMEWORK:
            self.add("evaluation_framework", "other_framework", framework=shown(framework))
            return EvalFile(name, description, (), tuple(self.problems))
        self.known(data, TOP_FIELDS, "")
        tasks = data.get("tasks")
        if not isinstance(tasks, list) or not tasks:
            self.add("tasks", "no_tasks")
            tasks = []
        if len(tasks) > MAX_TASKS:
            self.add("tasks", "too_many", limit=MAX_TASKS)
            tasks = tasks[:MAX_TASKS]
        checked = [self.check_task(item, f"tasks[{i}]", name) for i, item in enumerate(tasks)]
        tasks = [replace(t, description=t.description or description) for t in checked if t]
        good = self.unique(tasks)
        return EvalFile(name, description, tuple(good), tuple(self.problems))

    def unique(self, tasks: list[TaskSpec]) -> list[TaskSpec]:
        kept: dict[str, TaskSpec] = {}
        for task in tasks:
            if task.id in kept:
                self.add("tasks", "twice", value=task.id)
            kept.setdefault(task.id, task)
        return list(kept.values())

    def check_task(self, item: Any, where: str, file_name: str) -> TaskSpec | None:
        if not isinstance(item, dict):
            self.add(where, "not_mapping_here")
            return None
        before = len(self.problems)
        self.known(item, TASK_FIELDS, where)
        task_type = self.choice(item, "type", where, tuple(TASKS))
        family = TASKS[task_type] if task_type else None
        task_id = self.matching(item, "id", where, TASK_ID, required=True)
        config = self.matching(item, "config", where, SPLIT, required=False)
        split = self.matching(item, "split", where, SPLIT, required=True)
        limit = MAX_SYSTEM_NAME if "computed" in item else 150
        name = self.text(item, "name", f"{where}.name", limit=limit)
        description = self.text(item, "description", f"{where}.description", limit=5000)
        columns = self.columns(item.get("columns"), f"{where}.columns", family)
        labels = self.labels(item.get("labels"), f"{where}.labels", family)
        templates = self.templates(item.get("templates"), f"{where}.templates", family)
        metrics = self.metrics(item.get("metrics"), f"{where}.metrics", family)
        main = family.known_metrics[metrics[0]] if family and metrics else None
        chance = self.value_of(main, item.get("chance"), f"{where}.chance")
        wanted = {name: family.known_metrics[name] for name in metrics} if family else {}
        baselines = self.baselines(item.get("baselines"), f"{where}.baselines", wanted)
        generation, comparison = self.text_settings(item, where, family)
        asking = self.asking(item, where, family)
        is_plain = item.get("dtype") is None
        dtype = None if is_plain else self.choice(item, "dtype", where, get_args(Dtype))
        tolerance = self.value_of(None, item.get("replay_tolerance"), f"{where}.replay_tolerance")
        submissions = check_submissions(self, item.get("submissions"), where, family)
        halves = check_halves(self, item.get("halves"), f"{where}.halves")
        if len(self.problems) > before or not (task_type and task_id and split):
            return None
        return TaskSpec(
            id=task_id,
            name=name or file_name or task_id,
            description=description or "",
            type=task_type,
            config=config,
            split=split,
            columns=columns,
            labels=labels,
            metrics=metrics,
            chance=chance,
            baselines=baselines,
            generation=generation,
            comparison=comparison,
            templates=templates,
            asking=asking,
            dtype=dtype,
            replay_tolerance=tolerance,
            submissions=submissions,
            halves=halves,
        )

    def text_settings(
        self, item: dict[Any, Any], where: str, family: Task | None
    ) -> tuple[GenerationSpec | None, ComparisonSpec | None]:
        """How texts are generated and compared, for a family that writes them."""
        if family is None or not family.is_generated:
            for key in ("generation", "comparison"):
                if item.get(key) is not None:
                    name = family.name if family else ""
                    self.add(join(where, key), "no_texts_here", type=name)
            return None, None
        return (
            self.settings(item.get("generation"), f"{where}.generation", read_generation, family),
            self.settings(item.get("comparison"), f"{where}.comparison", read_comparison, family),
        )

    def asking(self, item: dict[Any, Any], where: str, family: Task | None) -> AskingSpec | None:
        """How questions with choices are put; None is the question alone."""
        value, where = item.get("asking"), f"{where}.asking"
        if value is None or family is None:
            return None
        if family.answer != "choice":
            self.add(where, "no_choices_here", type=family.name)
            return None
        found = self.settings(value, where, lambda given, _: from_json(AskingSpec, given), family)
        if found and found.few_shot and found.few_shot.split == item.get("split"):
            self.add(f"{where}.few_shot.split", "same_split")
        return found

    def settings(
        self, value: Any, where: str, read: Callable[[Any, Task], T], family: Task
    ) -> T | None:
        """What `read` makes of a mapping; the library's own words where it refuses."""
        try:
            return read(value or {}, family)
        except RecordError as error:
            problem = str(error).removeprefix(f"{error.path}: ")
            self.add(join(where, error.path), "bad_setting", problem=problem)
        except UserError as error:
            problem = error.message.removeprefix(REFUSAL)
            self.add(where, "bad_setting", problem=problem)
        return None

    def columns(self, value: Any, where: str, family: Task | None) -> dict[str, str]:
        if family is None:
            return {}
        roles = (*family.required_columns, *family.optional_columns)
        defaults = {role: role for role in family.required_columns}
        if value is None:
            return defaults
        if not isinstance(value, dict):
            self.add(where, "not_mapping_here")
            return defaults
        self.known(value, roles, where)
        for role, column in value.items():
            if not isinstance(column, str) or not column or len(column) > 200:
                self.add(join(where, shown(role)), "not_text")
        return defaults | {k: v for k, v in value.items() if k in roles and isinstance(v, str)}

    def labels(self, value: Any, where: str, family: Task | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        if family is not None and not family.has_labels:
            self.add(where, "no_labels_here", type=family.name)
            return None
        if not isinstance(value, list) or len(value) < 2:
            self.add(where, "few_labels")
            return None
        if len(value) > MAX_LABELS:
            self.add(where, "too_many", limit=MAX_LABELS)
            return None
        for i, name in enumerate(value):
            if not isinstance(name, str) or not name or len(name) > 200:
                self.add(f"{where}[{i}]", "label_not_text", value=shown(name))
                return None
        if len(set(value)) < len(value):
            self.add(where, "label_twice")
            return None
        return tuple(value)

    def templates(self, value: Any, where: str, family: Task | None) -> tuple[str, ...]:
        """Sentences with a place for the name of a label."""
        if value is None:
            return ()
        if family is not None and not family.has_templates:
            self.add(where, "no_templates_here", type=family.name)
            return ()
        given = value if isinstance(value, list) else []
        good = [one for one in given if isinstance(one, str) and one.count("{}") == 1]
        are_short = all(len(one) <= 200 for one in good)
        if not given or len(given) > MAX_TEMPLATES or good != given or not are_short:
            self.add(where, "bad_templates", limit=MAX_TEMPLATES)
            return ()
        return tuple(dict.fromkeys(given))

    def metrics(self, value: Any, where: str, family: Task | None) -> tuple[str, ...]:
        if family is None:
            return ()
        known = tuple(family.known_metrics)
        if value is None:
            return family.metrics
        if not isinstance(value, list) or not value:
            self.add(where, "no_metrics", choices=", ".join(known))
            return ()
        for i, name in enumerate(value):
            if name not in known:
                strange = shown(name)
                self.add(f"{where}[{i}]", "not_a_choice", value=strange, choices=", ".join(known))
        names = [name for name in value if name in known]
        return tuple(dict.fromkeys(names))

    def baselines(
        self, value: Any, where: str, metrics: Mapping[str, Metric]
    ) -> tuple[Baseline, ...]:
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > MAX_BASELINES:
            self.add(where, "bad_baselines", limit=MAX_BASELINES)
            return ()
        found = [self.baseline(item, f"{where}[{i}]", metrics) for i, item in enumerate(value)]
        return tuple(baseline for baseline in found if baseline)

    def baseline(self, item: Any, where: str, metrics: Mapping[str, Metric]) -> Baseline | None:
        if not isinstance(item, dict):
            self.add(where, "not_mapping_here")
            return None
        self.known(item, ("name", "url", "run", "computed", *metrics), where)
        limit = MAX_SYSTEM_NAME if "computed" in item else 150
        name = self.text(item, "name", f"{where}.name", limit=limit)
        url = self.text(item, "url", f"{where}.url", limit=500) or ""
        given = {name: metric for name, metric in metrics.items() if name in item}
        scores = {n: self.value_of(m, item[n], f"{where}.{n}") for n, m in given.items()}
        run = self.matching(item, "run", where, RUN_ID, required=False) or ""
        computed = self.choice(item, "computed", where, COMPUTED) if "computed" in item else ""
        n_sources = bool(scores) + bool(run) + bool(computed)
        if not name or n_sources != 1:
            self.add(where, "baseline_incomplete")
            return None
        if url and not re.match(r"https?://[^\s\"'<>]+\Z", url):
            self.add(f"{where}.url", "bad_url")
            return None
        known = {m: s for m, s in scores.items() if s is not None}
        return Baseline(name, known, url, run, computed or "")


def read_generation(value: Any, family: Task) -> GenerationSpec:
    """How texts are generated. Raises RecordError, UserError."""
    spec = from_json(GenerationSpec, value)
    spec.check_prompts(family.inputs[0].name)
    return spec


def read_comparison(value: Any, _family: Task) -> ComparisonSpec:
    """How they are compared; a filter may be its name alone. Raises RecordError, UserError."""
    if isinstance(value, dict) and isinstance(filters := value.get("filters"), list):
        named = [{"name": one} if isinstance(one, str) else one for one in filters]
        value = value | {"filters": named}
    spec = from_json(ComparisonSpec, value)
    compile_filters(spec.filters)
    return spec
