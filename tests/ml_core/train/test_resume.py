"""Trainings that end before their time go on to the very weights they would have had."""

import dataclasses
import faulthandler
import gc
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from ml_core import finetune
from ml_core.errors import PlatformError, UserError
from ml_core.specs import ModelSpec
from ml_core.train.events import Note, Resumed, from_line
from ml_core.train.specs import FinetuneSpec, Training
from tests.ml_core.train.test_finetune import ENGINE, write_texts
from tests.support.deaths import Point
from tests.support.tiny_models import save_masked_lm

CHILD_LIMIT_S = 120
TRAINING = Training(
    epochs=2, learning_rate=0.01, step_slots=150, eval_steps=4, save_steps=2, validation_share=0.2
)


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """accelerate collects garbage before each training: only that of these tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    root = tmp_path_factory.mktemp("resume")
    base = save_masked_lm(root / "m", initializer_range=0.1)
    return FinetuneSpec(
        "text-classification",
        ModelSpec(str(base)),
        write_texts(root / "train.parquet", 50),
        training=TRAINING,
        engine=ENGINE,
        bootstrap_draws=0,
    )


@pytest.fixture(scope="module")
def unbroken(told, tmp_path_factory):
    """The result that no interruption may change; it has dropout, so every random draw counts."""
    out = tmp_path_factory.mktemp("unbroken")
    result = finetune.run(told, out)
    assert result.training.steps >= 8
    return result, load_file(out / "model/model.safetensors")


def assert_same(unbroken, result, out):
    expected, weights = unbroken
    found = load_file(out / "model/model.safetensors")
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert result.after == expected.after
    assert result.curve.eval == expected.curve.eval
    assert [p.loss for p in result.curve.train] == [p.loss for p in expected.curve.train]
    assert result.training.tokens == expected.training.tokens


def child(told, out, point=None):
    """The job in a process of its own, and the lines that it prints."""
    told.write(out.parent / "spec.json")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, os.fdopen(reading)
    try:
        faulthandler.dump_traceback_later(CHILD_LIMIT_S, exit=True)
        os.dup2(writing, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if point:
            Point.parse(point).arm()
        from ml_core.finetune.__main__ import main

        os._exit(main([str(out.parent / "spec.json"), str(out)]))
    finally:
        os._exit(99)


def end_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("point", "resumed_at"),
    [
        ("before ml_core.train.checkpoints.publish #3", 4),  # all written, not yet renamed
        ("before ml_core.train.progress.Progress.write #2", 2),  # half of its files written
        ("before ml_core.train.output.publish", None),  # trained, the model not yet named
    ],
)
def test_a_death_while_writing_changes_no_weight(told, unbroken, tmp_path, point, resumed_at):
    out = tmp_path / "out"
    pid, lines = child(told, out, point)
    lines.read()
    assert end_of(pid) == -signal.SIGKILL
    assert not (out / "result.json").exists()
    assert not (out / "model").exists()
    result = finetune.run(told, out)
    assert result.resumed_from.step == resumed_at or resumed_at is None
    assert_same(unbroken, result, out)
    assert not list(out.rglob(".writing-*"))


def test_a_death_in_the_middle_and_a_damaged_checkpoint_change_no_weight(told, unbroken, tmp_path):
    """Another worker goes on from a copy of what the first left behind."""
    earlier, out = tmp_path / "earlier", tmp_path / "out"
    pid, lines = child(told, earlier)
    for line in lines:
        event = json.loads(line)
        if event["event"] == "train" and event["step"] == 7:
            os.kill(pid, signal.SIGKILL)
            break
    assert end_of(pid) == -signal.SIGKILL
    newest = earlier / "checkpoints/step-00000006/optimizer.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    events = []
    spec = dataclasses.replace(told, resume_from=str(earlier / "checkpoints"))
    result = finetune.run(spec, out, events.append)
    seen = [from_line(event)[1] for event in events]
    (resumed,) = [event for event in seen if isinstance(event, Resumed)]
    assert resumed.step == 4
    assert resumed.skipped == ("step-00000006: optimizer.pt is damaged",)
    assert_same(unbroken, result, out)


def test_sigterm_saves_and_leaves(told, unbroken, tmp_path):
    out = tmp_path / "out"
    pid, lines = child(told, out)
    for line in lines:
        event = json.loads(line)
        if event["event"] == "train" and event["step"] == 3:
            os.kill(pid, signal.SIGTERM)
    assert end_of(pid) == 1
    report = json.loads((out / "error.json").read_text())
    assert (report["family"], report["code"]) == ("system", "interrupted")
    saved = max(path.name for path in (out / "checkpoints").iterdir())
    result = finetune.run(told, out)
    assert result.resumed_from.step == int(saved.removeprefix("step-")) >= 3
    weights = load_file(out / "model/model.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in unbroken[1].items())


def test_a_training_asked_to_stop_at_once_leaves_before_it_trains(told, tmp_path):
    with pytest.raises(PlatformError) as stopped:
        finetune.run(told, tmp_path / "out", should_stop=lambda: True)
    assert stopped.value.code == "interrupted"


def break_loss(monkeypatch, *, calls):
    """The loss is no number in the steps that `calls` (a set of numbers from 1) names."""
    from ml_core.train.objectives import text_classification

    real, made = text_classification.label_loss, []

    def broken(model, inputs):
        made.append(1)
        loss = real(model, inputs)
        return loss * float("nan") if calls(len(made)) else loss

    monkeypatch.setattr(text_classification, "label_loss", broken)


@pytest.mark.parametrize("call", [1, 4])
def test_a_loss_that_is_no_number_leads_back_to_a_lower_rate(told, tmp_path, monkeypatch, call):
    break_loss(monkeypatch, calls=lambda n: n == call)
    events = []
    spec = dataclasses.replace(told, training=dataclasses.replace(TRAINING, max_steps=6))
    result = finetune.run(spec, tmp_path / "out", events.append)
    (note,) = [e for e in (from_line(line)[1] for line in events) if isinstance(e, Note)]
    assert note.code == "learning_rate_cut"
    assert result.training.learning_rate_cuts == 1
    assert result.training.learning_rate == pytest.approx(0.0025)
    assert result.training.steps == 6
    cut = [point.learning_rate for point in result.curve.train if point.step > 2]
    assert max(cut) <= 0.0025


def test_a_loss_that_stays_no_number_is_an_error_in_plain_words(told, tmp_path, monkeypatch):
    break_loss(monkeypatch, calls=lambda n: True)
    with pytest.raises(UserError) as refused:
        finetune.run(told, tmp_path / "out")
    assert refused.value.code == "loss_not_finite"
    assert "lower" in refused.value.message
    assert not (tmp_path / "out/model").exists()


def test_memory_that_runs_out_halves_what_is_computed_at_once(told, tmp_path, monkeypatch):
    """A step of which the first try fails gives the same rows their gradients once."""
    from ml_core.train.objectives import text_classification

    real = text_classification.label_loss

    def hungry(model, inputs):
        if inputs["input_ids"].numel() > 120:
            raise RuntimeError("not enough memory: you tried to allocate 1 byte")
        return real(model, inputs)

    monkeypatch.setattr(text_classification, "label_loss", hungry)
    spec = dataclasses.replace(told, training=dataclasses.replace(TRAINING, max_steps=3))
    result = finetune.run(spec, tmp_path / "out")
    assert result.training.oom_halvings >= 1
    assert result.training.token_budget <= 120
