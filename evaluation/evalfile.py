"""The `eval.yaml` of a benchmark data set: parse and check. Declarative only; pure.

The Hub's fields are `name`, `description`, `evaluation_framework` and `tasks` with `id`, `config`
and `split`. Ours are per task: `name`, `type`, `columns`, `labels`, `templates`, `metrics`,
`chance`, `baselines`, `dtype`; of families that write texts also `generation` and `comparison`,
whose fields are those of `GenerationSpec` and `ComparisonSpec` in `ml_core.generation`; of families
with choices `asking`, which is `AskingSpec` in `ml_core.asking`. An unknown field is an error, so
that a slip of the pen does not change what is measured without anyone noticing. Which types there
are, with which columns and metrics, is the table of `ml_core.evaluate.tasks`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar, get_args

import yaml

from ml_core.answers.filters import compile_filters
from ml_core.asking import AskingSpec
from ml_core.errors import UserError
from ml_core.evaluate.tasks import TASKS, Task
from ml_core.generation import REFUSAL, ComparisonSpec, GenerationSpec
from ml_core.metrics.registry import Metric
from ml_core.records import RecordError, from_json, to_json
from ml_core.specs import Dtype

FILE_NAME = "eval.yaml"
MAX_FILE_BYTES = 64 * 1024
MAX_TASKS = 20
MAX_LABELS = 2000
MAX_BASELINES = 20
MAX_TEMPLATES = 100
OUR_FRAMEWORK = "modelguild"

T = TypeVar("T")

_TOP_FIELDS = ("name", "description", "evaluation_framework", "tasks")
_TASK_FIELDS = (
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
)
_TASK_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_SPLIT = re.compile(r"\w[\w.-]{0,99}\Z")


@dataclass(frozen=True)
class Problem:
    """What is wrong and where; the words for `code` are in `evaluation.messages`."""

    where: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Baseline:
    """A score to compare with that no run of this site measured; shown as claimed."""

    name: str
    scores: dict[str, float]
    url: str = ""


@dataclass(frozen=True)
class TaskSpec:
    """One checked task. `metrics` names the main one first.

    `generation` and `comparison` are of families that write texts, `asking` of those with choices,
    None elsewhere. `dtype` None is float32.
    """

    id: str
    name: str
    description: str
    type: str
    config: str | None
    split: str
    columns: dict[str, str]
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    chance: float | None
    baselines: tuple[Baseline, ...]
    generation: GenerationSpec | None = None
    comparison: ComparisonSpec | None = None
    templates: tuple[str, ...] = ()
    asking: AskingSpec | None = None
    dtype: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what a family does not have is left out, so that digests stay."""
        values = asdict(self)
        for name in ("generation", "comparison", "asking", "dtype"):
            values.pop(name)
            if (given := getattr(self, name)) is not None:
                values[name] = to_json(given)
        if not self.templates:
            del values["templates"]
        values["labels"] = list(self.labels) if self.labels is not None else None
        values["metrics"] = list(self.metrics)
        values["baselines"] = [asdict(baseline) for baseline in self.baselines]
        return values


@dataclass(frozen=True)
class EvalFile:
    """All that could be read. `tasks` holds only those without a problem."""

    name: str
    description: str
    tasks: tuple[TaskSpec, ...]
    problems: tuple[Problem, ...]


def parse(content: bytes) -> EvalFile:
    """The file's tasks and its problems. Never raises for anything in `content`."""
    if len(content) > MAX_FILE_BYTES:
        return _unreadable(Problem("", "too_large", {"limit": MAX_FILE_BYTES}))
    try:
        data = yaml.load(content.decode("utf-8"), Loader=_PlainLoader)  # noqa: S506  (safe subclass)
    except UnicodeDecodeError:
        return _unreadable(Problem("", "not_utf8"))
    except yaml.YAMLError as error:
        return _unreadable(_yaml_problem(error))
    except (RecursionError, ValueError, OverflowError):
        return _unreadable(Problem("", "not_yaml", {"line": 1, "problem": "nested too deeply"}))
    if not isinstance(data, dict):
        return _unreadable(Problem("", "not_mapping"))
    return _Checker().check_file(data)


def _unreadable(problem: Problem) -> EvalFile:
    return EvalFile("", "", (), (problem,))


def _yaml_problem(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or "cannot be read"
    return Problem("", "not_yaml", {"line": mark.line + 1 if mark else 1, "problem": str(text)})


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few of them unfold to gigabytes, and nobody needs them here."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed here", mark)
        return super().compose_node(parent, index)


class _Checker:
    """Collects problems while it reads; each method answers the checked value or None."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, where: str, code: str, **params: Any) -> None:
        self.problems.append(Problem(where, code, params))

    def check_file(self, data: dict[Any, Any]) -> EvalFile:
        framework = data.get("evaluation_framework", OUR_FRAMEWORK)
        name = self.text(data, "name", "name", limit=150) or ""
        description = self.text(data, "description", "description", limit=5000) or ""
        if framework != OUR_FRAMEWORK:
            self.add("evaluation_framework", "other_framework", framework=_shown(framework))
            return EvalFile(name, description, (), tuple(self.problems))
        self.known(data, _TOP_FIELDS, "")
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
        self.known(item, _TASK_FIELDS, where)
        task_type = self.choice(item, "type", where, tuple(TASKS))
        family = TASKS[task_type] if task_type else None
        task_id = self.matching(item, "id", where, _TASK_ID, required=True)
        config = self.matching(item, "config", where, _SPLIT, required=False)
        split = self.matching(item, "split", where, _SPLIT, required=True)
        name = self.text(item, "name", f"{where}.name", limit=150)
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
        )

    def text_settings(
        self, item: dict[Any, Any], where: str, family: Task | None
    ) -> tuple[GenerationSpec | None, ComparisonSpec | None]:
        """How texts are generated and compared, for a family that writes them."""
        if family is None or not family.is_generated:
            for key in ("generation", "comparison"):
                if item.get(key) is not None:
                    name = family.name if family else ""
                    self.add(_join(where, key), "no_texts_here", type=name)
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
            self.add(_join(where, error.path), "bad_setting", problem=problem)
        except UserError as error:
            problem = error.message.removeprefix(REFUSAL)
            self.add(where, "bad_setting", problem=problem)
        return None

    def known(self, data: dict[Any, Any], names: tuple[str, ...], where: str) -> None:
        for key in data:
            if key not in names:
                close = difflib.get_close_matches(str(key), names, n=1)
                self.add(
                    _join(where, _shown(key)), "unknown_field", suggestion=close[0] if close else ""
                )

    def text(self, data: dict[Any, Any], key: str, where: str, *, limit: int) -> str | None:
        value = data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.add(where, "not_text")
            return None
        if len(value) > limit:
            self.add(where, "too_long", limit=limit)
            return None
        return " ".join(value.split()) if limit <= 150 else value.strip()

    def matching(
        self, data: dict[Any, Any], key: str, where: str, form: re.Pattern[str], *, required: bool
    ) -> str | None:
        value = data.get(key)
        if value is None:
            if required:
                self.add(_join(where, key), "missing")
            return None
        if not isinstance(value, str) or not form.match(value) or ".." in value:
            self.add(_join(where, key), "bad_name", value=_shown(value))
            return None
        return value

    def choice(
        self, data: dict[Any, Any], key: str, where: str, choices: tuple[str, ...]
    ) -> str | None:
        value = data.get(key)
        if value is None:
            self.add(_join(where, key), "missing_choice", choices=", ".join(choices))
        elif value not in choices:
            self.add(
                _join(where, key), "not_a_choice", value=_shown(value), choices=", ".join(choices)
            )
        else:
            return str(value)
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
                self.add(_join(where, _shown(role)), "not_text")
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
                self.add(f"{where}[{i}]", "label_not_text", value=_shown(name))
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
                shown = _shown(name)
                self.add(f"{where}[{i}]", "not_a_choice", value=shown, choices=", ".join(known))
        names = [name for name in value if name in known]
        return tuple(dict.fromkeys(names))

    def value_of(self, metric: Metric | None, value: Any, where: str) -> float | None:
        """A number that the metric can take, a share where there is none."""
        if value is None:
            return None
        low, high = (0.0, 1.0) if metric is None else (metric.low, metric.high)
        is_within = _is_number(value) and (low is None or value >= low)
        if not is_within or (high is not None and value > high):
            code = "not_a_share" if (low, high) == (0.0, 1.0) else "not_a_value"
            self.add(where, code, value=_shown(value), metric=metric.name if metric else "")
            return None
        return float(value)

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
        self.known(item, ("name", "url", *metrics), where)
        name = self.text(item, "name", f"{where}.name", limit=150)
        url = self.text(item, "url", f"{where}.url", limit=500) or ""
        given = {name: metric for name, metric in metrics.items() if name in item}
        scores = {n: self.value_of(m, item[n], f"{where}.{n}") for n, m in given.items()}
        if not name or not scores:
            self.add(where, "baseline_incomplete")
            return None
        if url and not re.match(r"https?://[^\s\"'<>]+\Z", url):
            self.add(f"{where}.url", "bad_url")
            return None
        return Baseline(name, {m: s for m, s in scores.items() if s is not None}, url)


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


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(value: Any) -> str:
    """`value` short enough to be shown in a message."""
    if isinstance(value, (dict, list)):
        return type(value).__name__
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
