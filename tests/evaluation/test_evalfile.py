"""Reading `eval.yaml`: good files, and a table of hostile and mistaken ones."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from evaluation.messages import EVALFILE_PROBLEMS, explain_problem
from evaluation.metrics import METRICS
from evaluation.task_types import TITLES
from ml_core.answers import KINDS
from ml_core.evalfile import eval_schema, parse
from ml_core.evaluate.tasks import TASKS
from ml_core.metrics.catalogue import METRICS_OF
from tests.support.benchmarks import EVAL_YAML

HEAD = "evaluation_framework: modelguild\ntasks:\n"
TASK = "  - {id: a, type: text-classification, split: test"


def test_good_file_gives_its_task() -> None:
    found = parse(EVAL_YAML.encode())
    assert found.problems == ()
    (task,) = found.tasks
    assert (task.id, task.type, task.split, task.config) == (
        "sentiment",
        "text-classification",
        "test",
        None,
    )
    assert task.name == "Film reviews"
    assert task.description == "Is a review of a film friendly?"
    assert task.columns == {"text": "text", "label": "label"}
    assert task.labels == ("negative", "positive")
    assert task.metrics == ("accuracy", "macro_f1")
    assert task.chance == 0.5
    assert task.baselines[0].scores == {"accuracy": 0.5}


def test_defaults_are_filled_in() -> None:
    (task,) = parse((HEAD + TASK + "}").encode()).tasks
    assert task.metrics == ("accuracy", "macro_f1")
    assert task.labels is None
    assert task.columns == {"text": "text", "label": "label"}


def test_a_good_task_survives_beside_a_broken_one() -> None:
    found = parse((HEAD + TASK + "}\n  - {id: b, type: nonsense, split: test}").encode())
    assert [task.id for task in found.tasks] == ["a"]
    assert [problem.code for problem in found.problems] == ["not_a_choice"]


HOSTILE: list[tuple[str, bytes, str]] = [
    ("empty", b"", "not_mapping"),
    ("a list", b"- 1", "not_mapping"),
    ("not utf-8", b"\xff\xfe", "not_utf8"),
    ("too large", b"#" * 70_000, "too_large"),
    ("broken", b"tasks: [", "not_yaml"),
    ("tabs", b"tasks:\n\t- id: a", "not_yaml"),
    ("python object", b"!!python/object/apply:os.system ['true']", "not_yaml"),
    ("alias bomb", b"a: &a [x]\nb: [*a, *a]\n", "not_yaml"),
    ("merge key with alias", b"a: &a {x: 1}\nb: {<<: *a}\n", "not_yaml"),
    ("deep nesting", b"[" * 20_000, "not_yaml"),
    ("control characters", b"name: \x00", "not_yaml"),
    ("a pointer", b"version https://git-lfs.github.com/spec/v1", "not_mapping"),
    ("no tasks", b"name: x\nevaluation_framework: modelguild", "no_tasks"),
    ("another framework", b"evaluation_framework: inspect-ai\ntasks: [{id: a}]", "other_framework"),
    ("framework is a list", b"evaluation_framework: [1]\ntasks: []", "other_framework"),
    ("unknown field", (HEAD + TASK + ", splitt: x}").encode(), "unknown_field"),
    ("field is a number", b"1: 2\ntasks: []", "unknown_field"),
    ("two tasks of one id", (HEAD + TASK + "}\n" + TASK + "}").encode(), "twice"),
    ("too many tasks", (HEAD + (TASK + "}\n") * 21).encode(), "too_many"),
    ("task is text", (HEAD + "  - hello").encode(), "not_mapping_here"),
    ("no type", (HEAD + "  - {id: a, split: test}").encode(), "missing_choice"),
    ("no split", (HEAD + "  - {id: a, type: text-classification}").encode(), "missing"),
    ("path as split", (HEAD + TASK.replace("test", "../../etc") + "}").encode(), "bad_name"),
    ("path as id", (HEAD + TASK.replace("a,", "a/b,") + "}").encode(), "bad_name"),
    ("yes and no as labels", (HEAD + TASK + ", labels: [yes, no]}").encode(), "label_not_text"),
    ("one label", (HEAD + TASK + ", labels: [a]}").encode(), "few_labels"),
    ("label twice", (HEAD + TASK + ", labels: [a, a]}").encode(), "label_twice"),
    ("unknown metric", (HEAD + TASK + ", metrics: [bleu]}").encode(), "not_a_choice"),
    ("metric is a mapping", (HEAD + TASK + ", metrics: [{a: 1}]}").encode(), "not_a_choice"),
    ("no metrics", (HEAD + TASK + ", metrics: []}").encode(), "no_metrics"),
    ("chance above one", (HEAD + TASK + ", chance: 2}").encode(), "not_a_share"),
    ("chance is NaN", (HEAD + TASK + ", chance: .nan}").encode(), "not_a_share"),
    ("chance is true", (HEAD + TASK + ", chance: true}").encode(), "not_a_share"),
    ("unknown role", (HEAD + TASK + ", columns: {query: q}}").encode(), "unknown_field"),
    ("column is a list", (HEAD + TASK + ", columns: {text: [a]}}").encode(), "not_text"),
    ("name too long", (HEAD + TASK + f", name: {'x' * 200}}}").encode(), "too_long"),
    ("baseline empty", (HEAD + TASK + ", baselines: [{name: b}]}").encode(), "baseline_incomplete"),
    (
        "script as address",
        (HEAD + TASK + ", baselines: [{name: b, accuracy: 1, url: 'javascript:x'}]}").encode(),
        "bad_url",
    ),
]

WRITES = "  - {id: a, type: summarization, split: test, "
HOSTILE += [
    (name, (HEAD + WRITES + text + "}").encode(), "bad_setting")
    for name, text in (
        ("generation is a list", "generation: [1]"),
        ("generation is text", "generation: fast"),
        ("unknown setting", "generation: {beams: 4}"),
        ("too many tokens", "generation: {max_new_tokens: 100000}"),
        ("tokens as text", "generation: {max_new_tokens: many}"),
        ("prompt without the input", "generation: {prompt: 'Summarize:'}"),
        ("prompt with another input", "generation: {prompt: 'Summarize {text}'}"),
        ("stop is no list", "generation: {stop: x}"),
        ("unknown filter", "comparison: {filters: [eval]}"),
        ("filter is a number", "comparison: {filters: [1]}"),
        ("filters are text", "comparison: {filters: strip}"),
        ("broken pattern", "comparison: {filters: [{name: regex, pattern: '('}]}"),
        ("pattern looks ahead", "comparison: {filters: [{name: regex, pattern: '(?=a)'}]}"),
        ("tokenizer that downloads", "comparison: {bleu_tokenizer: flores200}"),
    )
]
HOSTILE.append(
    ("generation of labels", (HEAD + TASK + ", generation: {stop: [a]}}").encode(), "no_texts_here")
)


def test_how_texts_are_written_and_compared_is_read_and_kept() -> None:
    settings = (
        "generation: {max_new_tokens: 64, stop: [\"\\n\\n\"], prompt: 'Say {document}: '}, "
        "comparison: {filters: [strip, {name: regex, pattern: 'is (.*)', group: 1}]}"
    )
    (task,) = parse((HEAD + WRITES + settings + "}").encode()).tasks
    values = task.to_json()
    assert values["generation"] == {
        "max_new_tokens": 64,
        "stop": ["\n\n"],
        "temperature": 0.0,
        "top_p": 1.0,
        "prompt": "Say {document}: ",
        "encoder_prompt": None,
        "chat_template": False,
    }
    names = [one["name"] for one in values["comparison"]["filters"]]
    assert names == ["strip", "regex"]
    assert values["comparison"]["bleu_tokenizer"] == "13a"


def test_families_without_texts_keep_the_digest_they_had() -> None:
    (task,) = parse((HEAD + TASK + "}").encode()).tasks
    assert not {"generation", "comparison"} & set(task.to_json())


@pytest.mark.parametrize(
    ("content", "code"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
def test_a_problem_is_named_and_nothing_raises(content: bytes, code: str) -> None:
    found = parse(content)
    assert code in [problem.code for problem in found.problems]
    for problem in found.problems:
        words = explain_problem(problem.to_json())
        assert words
        assert "%(" not in words
        assert "…" not in words.replace("…", "", int("…" in str(problem.params)))


@given(st.binary(max_size=400))
def test_any_bytes_give_an_answer(content: bytes) -> None:
    found = parse(content)
    assert found.tasks or found.problems


@given(st.text(max_size=300))
def test_any_text_gives_an_answer(content: str) -> None:
    found = parse((HEAD + "  - " + content).encode("utf-8", "replace"))
    assert found.tasks or found.problems


def test_every_problem_of_the_reader_has_words() -> None:
    codes = {code for _, _, code in HOSTILE}
    assert codes <= set(EVALFILE_PROBLEMS)


def test_tasks_and_metrics_are_those_of_the_library() -> None:
    """Pages have words for every family and every metric, and no others."""
    assert set(TITLES) == set(TASKS)
    assert set(METRICS) == {name for metrics in METRICS_OF.values() for name in metrics}
    assert {task.answer for task in TASKS.values()} == set(METRICS_OF) == set(KINDS)
    for task in TASKS.values():
        assert set(task.metrics) <= set(task.known_metrics)


def test_the_published_schema_takes_what_the_reader_takes() -> None:
    validator = Draft202012Validator(eval_schema("https://hub/schema"))
    Draft202012Validator.check_schema(validator.schema)
    for text in (EVAL_YAML, WHOLE, HEAD + TASK + "}", *(HEAD + one for one in OF_FAMILIES)):
        assert parse(text.encode()).problems == ()
        assert list(validator.iter_errors(yaml.load(text, Loader=Undated))) == []


class Undated(yaml.SafeLoader):
    """YAML with dates as text, as JSON has them."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


BEYOND_A_SCHEMA = {"twice", "bad_setting", "label_not_text", "closes_first", "same_split"}


@pytest.mark.parametrize(("name", "content", "code"), HOSTILE, ids=[h[0] for h in HOSTILE])
def test_the_published_schema_refuses_what_it_can_see(name: str, content: bytes, code: str) -> None:
    try:
        values = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return
    if code in BEYOND_A_SCHEMA or name in {"chance above one", "chance is NaN", "alias bomb"}:
        return
    assert not Draft202012Validator(eval_schema()).is_valid(values), name


def test_a_file_that_only_the_schema_refuses_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from ml_core.evalfile import schema

    monkeypatch.setattr(schema, "MAX_TASKS", 0)
    found = parse(EVAL_YAML.encode())
    assert [problem.code for problem in found.problems] == ["not_by_schema"]
    assert found.tasks == ()


WHOLE = """\
name: Whole
evaluation_framework: modelguild
tasks:
  - id: a
    type: tabular-classification
    split: test
    config: null
    columns: {label: y, item_id: key, group: land}
    labels: [a, b]
    metrics: [roc_auc, log_loss]
    baselines:
      - {name: Majority, computed: majority}
      - {name: Ours, run: 00000000-0000-4000-8000-000000000000}
      - {name: Theirs, roc_auc: 0.5, url: "https://x.org"}
    submissions:
      predictions: true
      per_day: 3
      phases:
        - {name: One, opens: 2026-01-01, closes: 2026-02-01T10:00:00+02:00, total: 9}
        - {name: Two, opens: 2026-02-01}
    halves: {public: 0.3, salt: x}
    replay_tolerance: 0.05
"""
OF_FAMILIES = [f"  - {{id: a, type: {name}, split: test}}" for name in TASKS]
FIELD = "  - {id: a, type: text-classification, split: test, submissions: "


def test_phases_are_kept_in_utc() -> None:
    (task,) = parse(WHOLE.encode()).tasks
    assert task.submissions is not None
    first, second = task.submissions.phases
    assert (first.opens, first.closes) == ("2026-01-01T00:00:00+00:00", "2026-02-01T08:00:00+00:00")
    assert (second.closes, second.total, task.submissions.per_day) == (None, None, 3)
    assert (task.replay_tolerance, task.to_json()["replay_tolerance"]) == (0.05, 0.05)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("{predictions: 1}}", "not_a_flag"),
        ("[1]}", "not_mapping_here"),
        ("{per_day: 0}}", "not_a_count"),
        ("{total: 1.5}}", "not_a_count"),
        ("{per_week: 1}}", "unknown_field"),
        ("{phases: []}}", "bad_phases"),
        ("{phases: [{opens: 2026-01-01}]}}", "missing"),
        ("{phases: [{name: a, opens: soon}]}}", "bad_moment"),
        ("{phases: [{name: a, opens: 2026-01-02, closes: 2026-01-01}]}}", "closes_first"),
        ("{predictions: true}, halves: {public: 1}}", "not_a_part"),
        ("{predictions: true}, halves: {}}", "not_a_part"),
        ("{predictions: true}, replay_tolerance: 2}", "not_a_share"),
        ("{predictions: true}, replay_tolerance: much}", "not_a_share"),
    ],
)
def test_mistakes_in_submissions_are_named(field: str, code: str) -> None:
    found = parse((HEAD + FIELD + field).encode())
    assert [problem.code for problem in found.problems] == [code]
    assert explain_problem(found.problems[0].to_json())


def test_families_that_cannot_be_handed_in_say_so() -> None:
    asked = "  - {id: a, type: perplexity, split: test, submissions: {predictions: true}}"
    (problem,) = parse((HEAD + asked).encode()).problems
    assert problem.code == "no_predictions_here"
    only = "  - {id: a, type: tabular-regression, split: test, submissions: {predictions: false}}"
    (problem,) = parse((HEAD + only).encode()).problems
    assert problem.code == "only_predictions_here"


def test_the_name_of_a_computed_baseline_is_one_that_a_system_can_have() -> None:
    line = "      - name: Always positive\n        accuracy: 0.5\n"
    for n_letters, is_too_long in ((96, False), (97, True)):
        name = "m" * n_letters
        text = EVAL_YAML.replace(line, f"      - {{name: {name}, computed: majority}}\n")
        codes = [problem.code for problem in parse(text.encode()).problems]
        assert ("too_long" in codes) == is_too_long, codes
