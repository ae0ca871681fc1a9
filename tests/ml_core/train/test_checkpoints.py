"""Checkpoints on the disk: whole ones are found, all others are left aside with a reason."""

import json
import shutil

import pytest

from ml_core.train.checkpoints import (
    MANIFEST,
    UNFINISHED,
    adopt,
    clear,
    find_checkpoint,
    name_of,
    save_checkpoint,
)
from ml_core.train.progress import Progress

pytestmark = pytest.mark.pure


@pytest.fixture
def root(tmp_path):
    return tmp_path / "checkpoints"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def save(root, step, best_step=None, identity="this"):
    def fill(folder):
        (folder / "weights").write_bytes(bytes([step]) * 1000)
        Progress(step=step, best_step=best_step).write(folder)

    save_checkpoint(root, step, identity, fill)
    return root / name_of(step)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def end_early(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {
    "weights is damaged": lambda folder: flip(folder / "weights"),
    "weights is damaged ": lambda folder: end_early(folder / "weights"),
    "weights is missing": lambda folder: (folder / "weights").unlink(),
    "its manifest cannot be read": lambda folder: (folder / MANIFEST).unlink(),
    "its manifest cannot be read ": lambda folder: (folder / MANIFEST).write_text("{"),
    "its manifest cannot be read  ": lambda folder: (folder / MANIFEST).write_text("[" * 99_999),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_a_damaged_checkpoint_is_left_aside(root, problem):
    good = save(root, 10)
    DAMAGES[problem](save(root, 20))
    found = find_checkpoint([root], "this")
    assert found.folder == good
    assert len(found.skipped) == 1
    assert problem.strip() in found.skipped[0]


def test_a_manifest_that_names_files_elsewhere_is_not_read(tmp_path):
    folder = save(tmp_path / "root", 10)
    manifest = json.loads((folder / MANIFEST).read_text())
    (tmp_path / "secret").write_text("x")
    manifest["files"]["../../secret"] = {"size_bytes": 1, "sha256": "0" * 64}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert find_checkpoint([tmp_path / "root"], "this").folder is None


def test_a_folder_that_was_never_finished_is_no_checkpoint(root):
    good = save(root, 10)
    shutil.copytree(good, root / f"{UNFINISHED}{name_of(20)}")
    assert find_checkpoint([root], "this").folder == good
    clear(root, keep=2, best_step=None)
    assert names_in(root) == [good.name]


def test_another_training_is_not_gone_on_with(root):
    save(root, 10)
    found = find_checkpoint([root], "other")
    assert found.folder is None
    assert "another training" in found.skipped[0]


def test_without_the_best_so_far_an_older_checkpoint_is_taken(root):
    save(root, 10, best_step=10)
    best = save(root, 20, best_step=20)
    save(root, 30, best_step=20)
    assert find_checkpoint([root], "this").folder == root / name_of(30)
    flip(best / "weights")
    found = find_checkpoint([root], "this")
    assert found.folder == root / name_of(10)
    assert len(found.skipped) == 2


def test_the_newest_and_the_best_stay(root):
    for step in (10, 20, 30, 40):
        save(root, step, best_step=10)
    clear(root, keep=2, best_step=10)
    assert names_in(root) == [name_of(step) for step in (10, 30, 40)]
    clear(root, keep=2, best_step=10, above=30)
    assert names_in(root) == [name_of(step) for step in (10, 30)]


def test_a_checkpoint_may_come_from_another_folder(tmp_path):
    earlier, here = tmp_path / "earlier", tmp_path / "here"
    folder = save(earlier, 10)
    assert find_checkpoint([here, earlier], "this").folder == folder
    adopt(folder, here)
    assert find_checkpoint([here], "this").folder == here / name_of(10)


def test_patience_counts_evaluations_that_are_not_better_by_enough():
    progress = Progress()
    seen = []
    for step, value in enumerate([0.5, 0.6, 0.605, 0.6, None, 0.7], start=1):
        progress.step = step
        is_best = progress.judge(value, direction="higher", min_delta=0.01)
        seen.append((is_best, progress.stale_evals, progress.best_step))
    assert seen == [
        (True, 0, 1), (True, 0, 2), (True, 1, 3), (False, 2, 3), (False, 3, 3), (True, 0, 6)
    ]  # fmt: skip
    lower = Progress()
    for step, value in enumerate([2.0, 1.0, 1.5], start=1):
        lower.step = step
        lower.judge(value, direction="lower", min_delta=0.0)
    assert (lower.best_step, lower.stale_evals) == (2, 1)
