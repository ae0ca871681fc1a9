"""Spec, result and events of a fine-tuning: JSON both ways, and what they refuse."""

import json

import pytest

from ml_core.errors import UserError
from ml_core.evaluate.tasks import TASKS
from ml_core.records import RecordError
from ml_core.specs import DataSpec, EngineSpec, ModelSpec
from ml_core.train.events import (
    CheckpointSaved,
    Evaluated,
    Note,
    PhaseBegins,
    Progress,
    Resumed,
    Trained,
    from_line,
    to_line,
)
from ml_core.train.recipes import RECIPES
from ml_core.train.specs import FinetuneSpec, Training

pytestmark = pytest.mark.pure

SPEC = FinetuneSpec(
    "text-classification",
    ModelSpec("base", repo="ada/base", revision="c0ffee"),
    DataSpec(("train.parquet",), columns={"text": "review"}),
    DataSpec(("test.parquet",)),
    labels=("no", "yes"),
    training=Training(method="lora", epochs=2, learning_rate=1e-3, patience=3),
    engine=EngineSpec(seed=7, max_length=64),
    resume_from="earlier",
)

EVENTS = [
    PhaseBegins("training"),
    Progress(3, 10),
    Trained(3, 0.5, 1.25, 1e-3, 900.0, 12.5),
    Evaluated(step=3, metrics={"accuracy": 0.5, "macro_f1": None}, is_best=True),
    CheckpointSaved(3, "step-00000003", 1024),
    Resumed(3, ("step-00000006",)),
    Note("learning_rate_cut", "words"),
]


def test_a_spec_comes_back_from_its_json(tmp_path):
    SPEC.write(tmp_path / "spec.json")
    assert FinetuneSpec.read(tmp_path / "spec.json") == SPEC


@pytest.mark.parametrize(
    "broken",
    [
        {"recipe": 3},
        {"version": 2},
        {"strange": 1},
        {"train": {"files": []}},
        {"labels": ["a", "a"]},
        {"max_checkpoints": 0},
        {"engine": {"dtype": "float16"}},
        {"training": {"epochs": 0}},
        {"training": {"learning_rate": 0.0}},
        {"training": {"learning_rate": 2.0}},
        {"training": {"validation_share": 0.0}},
        {"training": {"method": "qlora"}},
        {"training": {"warmup_share": 1.0}},
        {"training": {"min_delta": -1.0}},
    ],
)
def test_a_spec_that_does_not_hold_is_refused(broken):
    value = json.loads(json.dumps(SPEC.to_json())) | broken
    with pytest.raises(UserError) as refused:
        FinetuneSpec.from_json(value)
    assert refused.value.code == "spec_invalid"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_an_event_comes_back_from_its_line(event):
    line = json.loads(json.dumps(to_line(event, 4)))
    assert line["seq"] == 4
    assert from_line(line) == (4, event)


@pytest.mark.parametrize(
    "line",
    [
        None,
        [],
        "text",
        {},
        {"event": "phase", "phase": "loading"},
        {"seq": 0, "event": "phase", "phase": "loading"},
        {"seq": True, "event": "phase", "phase": "loading"},
        {"seq": 1, "event": ["phase"]},
        {"seq": 1, "event": "phase", "phase": "dancing"},
        {"seq": 1, "event": "train", "step": 1, "epoch": 0.1, "loss": float("nan")},
        {"seq": 1, "event": "note", "code": "x", "message": "y", "more": 1},
    ],
)
def test_a_line_that_is_no_event_is_refused(line):
    with pytest.raises(RecordError):
        from_line(line)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_agrees_with_the_family_that_scores_it(recipe):
    if recipe.task is not None:
        task = TASKS[recipe.task]
        assert set(recipe.metrics) <= set(task.known_metrics)
        assert {role.name for role in recipe.truth} == {role.name for role in task.truth}


@pytest.mark.parametrize(
    ("width", "rate"),
    [(None, 5e-5), (1024, 5e-5), (768, 5e-5), (384, 1e-4), (128, 3e-4), (8, 4e-4)],
)
def test_a_narrow_model_learns_at_a_higher_rate(width, rate):
    recipe = RECIPES["text-classification"]
    assert recipe.learning_rate("full", width=width) == pytest.approx(rate)
