"""The `eval.yaml` of a benchmark data set: parse and check. Declarative only; pure.

The Hub's fields are `name`, `description`, `evaluation_framework` and `tasks` with `id`, `config`
and `split`. Ours are per task: `name`, `type`, `columns`, `labels`, `templates`, `metrics`,
`chance`, `baselines`, `dtype`; of families that write texts also `generation` and `comparison`,
whose fields are those of `GenerationSpec` and `ComparisonSpec` in `ml_core.generation`; of families
with choices `asking`, which is `AskingSpec` in `ml_core.asking`; `submissions` says who may hand in
what and when, `halves` parts the items into a public and a private half. An unknown field is an
error, so that a slip of the pen does not change what is measured without anyone noticing. Which
types there are, with which columns and metrics, is the table of `ml_core.evaluate.tasks`.
"""

from __future__ import annotations

from typing import Any

import yaml

from ml_core.evalfile.checker import Checker
from ml_core.evalfile.schema import eval_schema, first_misfit
from ml_core.evalfile.spec import Baseline, EvalFile, Problem, TaskSpec
from ml_core.evalfile.submissions import Halves, Phase, Submissions

__all__ = [
    "FILE_NAME",
    "MAX_FILE_BYTES",
    "Baseline",
    "EvalFile",
    "Halves",
    "Phase",
    "Problem",
    "Submissions",
    "TaskSpec",
    "eval_schema",
    "parse",
]

FILE_NAME = "eval.yaml"
MAX_FILE_BYTES = 64 * 1024


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
    found = Checker().check_file(data)
    problem = None if found.problems else first_misfit(data)
    return found if problem is None else _unreadable(problem)


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
