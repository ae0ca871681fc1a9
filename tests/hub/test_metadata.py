"""The metadata copy: what lists and pages know of a repository, from its files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from safetensors.numpy import save

from hub.actions.metadata import refresh_repo_metadata
from hub.models import Repo
from tests.support.factories import commit, commit_large, make_repo, make_user

pytestmark = pytest.mark.django_db

CARD = """---
license: mit
language: [en, "no"]
datasets: [me/data]
tags: [tiny]
---
# A small model

It does
one thing.
"""
CONFIG = json.dumps({"architectures": ["BertForSequenceClassification"], "model_type": "bert"})


def weights(**arrays):
    return save({name: np.zeros(shape, np.float32) for name, shape in arrays.items()})


@pytest.fixture
def repo():
    return make_repo(make_user())


def fresh(repo):
    return Repo.objects.get(pk=repo.pk)


def test_card_and_config_become_fields_and_tags(repo):
    commit(repo, {"README.md": CARD, "config.json": CONFIG, "tokenizer.json": "{}"})
    commit_large(repo, {"model.safetensors": weights(a=(2, 3), b=(4,))})
    row = fresh(repo)
    assert row.description == "It does one thing."
    assert (row.license, row.library_name, row.pipeline_tag) == (
        "mit", "transformers", "text-classification",
    )  # fmt: skip
    assert row.config == {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
    }
    assert row.safetensors == {"parameters": {"F32": 10}, "total": 10}
    assert row.parameter_count == 10
    assert row.tags == [
        "transformers", "safetensors", "bert", "text-classification", "tiny", "en", "no",
        "dataset:me/data", "license:mit",
    ]  # fmt: skip
    assert set(row.tag_rows.values_list("tag", flat=True)) == set(row.tags)


def test_the_card_has_the_last_word_over_guesses(repo):
    card = "---\nlibrary_name: mine\npipeline_tag: fill-mask\n---\n"
    commit(repo, {"README.md": card, "config.json": CONFIG})
    row = fresh(repo)
    assert (row.library_name, row.pipeline_tag) == ("mine", "fill-mask")


def test_shards_are_summed_and_other_files_left_out(repo):
    commit_large(
        repo,
        {
            "model-00001-of-00002.safetensors": weights(a=(2, 3)),
            "model-00002-of-00002.safetensors": weights(b=(5,)),
            "optimizer.safetensors": weights(c=(100,)),
            "checkpoint-1/model.safetensors": weights(d=(1000,)),
        },
    )
    assert fresh(repo).parameter_count == 11


def test_single_file_counts_before_others_and_adapters_alone(repo):
    commit_large(repo, {"adapter_model.safetensors": weights(a=(7,))})
    assert fresh(repo).parameter_count == 7
    commit_large(repo, {"model.safetensors": weights(a=(3,)), "x.safetensors": weights(a=(9,))})
    assert fresh(repo).parameter_count == 3


@pytest.mark.parametrize("raw", [b"broken", weights(a=(3,))[:-1], b"\xff" * 100])
def test_damaged_weights_give_no_summary_and_no_error(repo, raw):
    commit_large(repo, {"model.safetensors": raw})
    row = fresh(repo)
    assert (row.safetensors, row.parameter_count) == (None, None)


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "---\na: [\n---\nText here."},
        {"README.md": b"\xff\xfe\x00"},
        {"README.md": "---\nlicense: 3\ntags: {a: 1}\nlibrary_name: {x: 1}\n---\nText here."},
        {"config.json": "["},
        {"config.json": "[" * 100_000},
        {"config.json": '{"architectures": {"a": 1}, "model_type": 3, "auto_map": []}'},
        {"tokenizer_config.json": "3"},
    ],
    ids=range(7),
)
def test_files_that_cannot_be_read_count_as_absent(repo, files):
    commit(repo, files)
    row = fresh(repo)
    assert (row.license, row.library_name, row.pipeline_tag, row.config) == ("", "", "", {})
    if "Text here." in str(files):
        assert row.description == "Text here."


def test_texts_no_database_can_hold_are_mended(repo):
    card = '---\nlicense_name: "a\\0b"\ntags: ["x\\0"]\n---\nNul\0 here.'
    config = '{"model_type": "b\\u0000\\ud800", "architectures": ["\\udfff"]}'
    commit(repo, {"README.md": card, "config.json": config})
    row = fresh(repo)
    assert row.card_data["license_name"] == "ab"
    assert (row.description, row.config["model_type"]) == ("Nul here.", "b?")
    assert "\0" not in json.dumps(row.tags)


def test_what_is_deleted_from_the_files_is_deleted_from_the_copy(repo):
    commit(repo, {"README.md": CARD, "config.json": CONFIG})
    commit_large(repo, {"model.safetensors": weights(a=(3,))})
    commit(repo, {"README.md": "", "config.json": "", "model.safetensors": "not weights"})
    row = fresh(repo)
    assert (row.tags, row.config, row.parameter_count) == (["safetensors"], {}, None)
    assert list(row.tag_rows.values_list("tag", flat=True)) == ["safetensors"]


def test_metadata_of_an_older_commit_is_not_stored_over_the_newer(repo):
    old = commit(repo, {"README.md": CARD})
    commit(repo, {"README.md": "---\nlicense: apache-2.0\n---\n"})
    refresh_repo_metadata(repo, old)
    assert fresh(repo).license == "apache-2.0"


def test_data_sets_have_tags_of_their_own():
    repo = make_repo(make_user(), repo_type="dataset")
    card = "---\nlicense: mit\nlanguage: en\ntask_categories: [text-classification]\n---\n"
    commit(repo, {"README.md": card, "data/train.csv": "a,b\n"})
    assert fresh(repo).tags == [
        "task_categories:text-classification", "language:en", "license:mit", "format:csv",
    ]  # fmt: skip


def test_rebuilding_gives_the_same_copy_again(repo, capsys):
    commit(repo, {"README.md": CARD, "config.json": CONFIG})
    commit_large(repo, {"model.safetensors": weights(a=(3,))})
    before = Repo.objects.filter(pk=repo.pk).values()[0]
    Repo.objects.filter(pk=repo.pk).update(
        tags=[], license="", config={}, safetensors=None, parameter_count=None, head_sha="",
        description="", pipeline_tag="", library_name="", card_data={}, size_bytes=0,
    )  # fmt: skip
    repo.tag_rows.all().delete()
    repo.refs.all().delete()
    call_command("rebuild_copy", str(repo))
    assert Repo.objects.filter(pk=repo.pk).values()[0] == before
    assert repo.refs.count() == 1
    assert repo.tag_rows.count() == len(before["tags"])
    call_command("rebuild_copy")
    with pytest.raises(CommandError):
        call_command("rebuild_copy", "no/where")
