"""Which files make up which split: the card first, else the conventions of names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.viewer.data_names import TooManyFiles
from hub.viewer.layout import declared_features, find_configs, pack_configs, unpack_configs


def splits(paths: list[str], card: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """Files by "config/split"."""
    found = find_configs(paths, card or {})
    return {f"{c.name}/{s.name}": list(s.paths) for c in found for s in c.splits}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.csv", "README.md", ".hidden.csv"], {"train": ["a.csv"]}),
        (["train.csv", "test.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["my_train-1.csv", "dev.csv"], {"train": ["my_train-1.csv"], "validation": ["dev.csv"]}),
        (["trainer.csv"], {"train": ["trainer.csv"]}),
        (["train/a.jsonl", "eval/b.jsonl"], {"train": ["train/a.jsonl"], "test": ["eval/b.jsonl"]}),
        (
            ["data/odd-00000-of-00002.parquet", "data/odd-00001-of-00002.parquet", "x.csv"],
            {"odd": ["data/odd-00000-of-00002.parquet", "data/odd-00001-of-00002.parquet"]},
        ),
        (["b10.txt", "b9.txt"], {"train": ["b9.txt", "b10.txt"]}),
        (["a.csv.gz", "b.parquet.gz", "c.zip"], {"train": ["a.csv.gz"]}),
        (["1.png", "2.png", "metadata.csv"], {"train": ["1.png", "2.png", "metadata.csv"]}),
        (["1.png", "a.csv", "b.csv"], {"train": ["a.csv", "b.csv"]}),
        (["weights.bin", "README.md"], {}),
        ([], {}),
    ],
)
def test_names_tell_the_splits(paths: list[str], expected: dict[str, list[str]]) -> None:
    assert splits(paths) == {f"default/{name}": files for name, files in expected.items()}


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        ("*.csv", {"train": ["a.csv", "b.csv"]}),
        (["a.csv", "b.*"], {"train": ["a.csv", "b.csv"]}),
        ({"test": "b.csv"}, {"test": ["b.csv"]}),
        ([{"split": "x", "path": ["./a.csv"]}], {"x": ["a.csv"]}),
        ("**/*.csv", {"train": ["a.csv", "b.csv", "d/e/c.csv", "d/c.csv"]}),
        ("d/**", {"train": ["d/c.csv", "d/e/c.csv"]}),
        ("[ab].csv", {"train": ["a.csv", "b.csv"]}),
        ("[!a].csv", {"train": ["b.csv"]}),
        ("?.csv", {"train": ["a.csv", "b.csv"]}),
        ("none*", {}),
        ("../../etc/*", {}),
        ("[", {}),
        (7, {}),
    ],
)
def test_card_tells_the_splits(data_files: Any, expected: dict[str, list[str]]) -> None:
    paths = ["a.csv", "b.csv", "d/c.csv", "d/e/c.csv"]
    card = {"configs": [{"config_name": "one", "data_files": data_files}]}
    found = splits(paths, card)
    assert {name: sorted(files) for name, files in found.items()} == {
        f"one/{name}": sorted(files) for name, files in expected.items()
    }


def test_default_config_comes_first_and_data_dir_is_a_folder_of_its_own() -> None:
    card = {
        "configs": [
            {"config_name": "b", "data_dir": "b"},
            {"config_name": "a", "data_dir": "a/", "default": True},
        ]
    }
    paths = ["a/test.csv", "a/train.csv", "b/x.csv"]
    assert splits(paths, card) == {
        "a/train": ["a/train.csv"], "a/test": ["a/test.csv"], "b/train": ["b/x.csv"],
    }  # fmt: skip


@pytest.mark.parametrize("configs", [None, "x", [], [1], [{"config_name": ""}], {"a": 1}])
def test_card_of_any_shape_is_survived(configs: Any) -> None:
    assert splits(["a.csv"], {"configs": configs, "dataset_info": configs}) == {
        "default/train": ["a.csv"]
    }


def test_glob_that_would_stall_a_backtracking_engine_is_quick() -> None:
    paths = ["a" * 200 + ".csv"] * 200
    assert splits(paths, {"configs": [{"data_files": "*a" * 120 + "b.csv"}]}) == {}


def test_card_declares_labels_and_media() -> None:
    names = {"0": "no", "1": "yes", "10": "ten", "2": "maybe"}
    info = {
        "features": [
            {"name": "label", "dtype": {"class_label": {"names": names}}},
            {"name": "picture", "dtype": "image"},
            {"name": "text", "dtype": "string"},
            "odd",
        ]
    }
    assert declared_features(info) == {
        "label": {"_type": "ClassLabel", "names": ["no", "yes", "maybe", "ten"]},
        "picture": {"_type": "Image"},
    }


@pytest.mark.parametrize(
    "configs",
    [
        [{"config_name": f"c{n}", "data_files": "**"} for n in range(1_000)],
        [{"config_name": f"c{n}", "data_dir": "."} for n in range(1_000)],
        [{"data_files": [f"*{n}" for n in range(50_000)]}],
        [{"data_files": {f"s{n}": "a/1.csv" for n in range(50_000)}}],
    ],
    ids=["configs", "folders", "patterns", "splits"],
)
def test_card_that_asks_for_hours_of_work_is_refused(configs: list[dict[str, Any]]) -> None:
    with pytest.raises(TooManyFiles):
        find_configs([f"a/{n}.csv" for n in range(20_000)], {"configs": configs})


def test_paths_that_are_long_beyond_use_are_refused() -> None:
    with pytest.raises(TooManyFiles, match="too long"):
        find_configs((f"{'d/' * 2_000}{n}.csv" for n in range(10_000)), {})


def test_many_configs_with_a_folder_each_are_no_trouble() -> None:
    paths = [f"{language}/{n}.csv" for language in range(400) for n in range(50)]
    configs = [
        {"config_name": f"c{n}", "data_files": {"train": f"{n}/*1.csv", "test": f"{n}/*2.csv"}}
        for n in range(400)
    ]
    assert len(splits(paths, {"configs": configs})) == 800


def test_configs_are_the_same_after_they_were_kept() -> None:
    card = {"configs": [{"config_name": "a", "data_files": {"x": "*.csv", "y": ["1.*", "2.*"]}}]}
    found = find_configs(["1.csv", "2.csv", "10.csv"], card)
    assert unpack_configs(json.loads(json.dumps(pack_configs(found)))) == found
