"""Which files make a split: resolved from names alone, never outside the repository."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from evaluation.errors import JobFailed
from evaluation.worker.splits import Split, check_card, resolve_split

CARD = "---\n{}\n---\n# A card\n"


def mirror(folder: Path, *names: str, card: str = "") -> Path:
    """A folder of empty files, as the worker makes it."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if card:
        (folder / "README.md").write_text(CARD.format(card))
    return folder


def test_plain_layout_is_found_by_its_names(tmp_path: Path) -> None:
    names = ("data/train-00000-of-00001.parquet", "data/test-00000-of-00002.parquet")
    root = mirror(tmp_path, *names, "data/test-00001-of-00002.parquet")
    found = resolve_split(root, None, "test")
    assert found == Split(
        ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"], True, {}
    )


def test_config_of_the_card_names_files_and_labels(tmp_path: Path) -> None:
    card = (
        "configs:\n- config_name: de\n  data_files:\n  - split: test\n    path: de/*.csv\n"
        "dataset_info:\n  config_name: de\n  features:\n  - name: label\n    dtype:\n"
        "      class_label:\n        names:\n          '0': bad\n          '1': good"
    )
    found = resolve_split(mirror(tmp_path, "de/a.csv", "en/b.csv", card=card), "de", "test")
    assert found.files == ["de/a.csv"]
    assert found.labels == {"label": ["bad", "good"]}
    assert found.is_plain


def test_reader_settings_of_the_card_make_a_split_not_plain(tmp_path: Path) -> None:
    card = "configs:\n- config_name: default\n  data_files: test.csv\n  sep: ';'"
    assert not resolve_split(mirror(tmp_path, "test.csv", card=card), None, "train").is_plain


def test_tabs_and_json_lines_are_plain(tmp_path: Path) -> None:
    assert resolve_split(mirror(tmp_path / "t", "test.tsv"), None, "test").is_plain
    assert resolve_split(mirror(tmp_path / "j", "test.jsonl"), None, "test").is_plain


def test_image_folder_is_not_plain(tmp_path: Path) -> None:
    root = mirror(tmp_path, "test/cat/1.png", "test/dog/2.png")
    found = resolve_split(root, None, "test")
    assert sorted(found.files) == ["test/cat/1.png", "test/dog/2.png"]
    assert not found.is_plain


@pytest.mark.parametrize(
    ("names", "config", "split", "code"),
    [
        (("test.csv",), None, "validation", "split_unknown"),
        (("test.csv",), "german", "test", "config_unknown"),
        ((), None, "test", "dataset_unreadable"),
        (("notes.xyz",), None, "test", "dataset_unreadable"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, names: tuple[str, ...], config: str | None, split: str, code: str
) -> None:
    with pytest.raises(JobFailed) as failed:
        resolve_split(mirror(tmp_path, *names), config, split)
    assert (failed.value.family, failed.value.code) == ("user", code)
    assert str(tmp_path) not in failed.value.message


OUTSIDE = [
    "/etc/passwd",
    "../../secrets/instance_key",
    "data/../../x.csv",
    "~/x.csv",
    "https://example.org/x.csv",
    "hf://datasets/other/private/x.csv",
    "file:///etc/passwd",
    "zip://x.csv::https://example.org/a.zip",
    "s3://bucket/x",
    "..\\..\\x",
]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(
    "shape",
    [
        "configs:\n- config_name: a\n  data_files: '{}'",
        "configs:\n- config_name: a\n  data_files: ['ok.csv', '{}']",
        "configs:\n- config_name: a\n  data_files:\n  - split: test\n    path: ['{}']",
        "configs:\n- config_name: a\n  data_dir: '{}'",
    ],
)
def test_card_that_points_outside_is_refused(path: str, shape: str) -> None:
    with pytest.raises(JobFailed) as failed:
        check_card(CARD.format(shape.format(path)))
    assert failed.value.code == "dataset_files_outside"


@pytest.mark.parametrize("head", ["a: [", "configs: 3", "configs:\n- 3", "", "x: &a [*a]"])
def test_odd_cards_do_no_harm(head: str) -> None:
    with suppress(JobFailed):
        check_card(CARD.format(head))


def test_script_in_the_repository_is_never_looked_at(tmp_path: Path) -> None:
    from evaluation.worker.splits import _touch

    for name in ("dataset.py", "../outside.csv", "test.csv"):
        _touch(tmp_path, name)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["test.csv"]
