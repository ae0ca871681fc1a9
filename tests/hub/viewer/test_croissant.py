"""The Croissant description, read by MLCommons' own library."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from hub.models import Repo
from tests.support.cast import ROLES, Cast
from tests.support.data_files import json_lines, parquet_of, png
from tests.support.factories import commit_large, make_repo

pytestmark = pytest.mark.django_db
CARD = """---
license: mit
pretty_name: Odd names
configs:
- config_name: main
  data_files: 'a/*.parquet'
- config_name: "in lines: \\"2\\""
  data_files: b.jsonl
- config_name: plain
  data_files: c.csv
- config_name: pictures
  data_files: 'd/**'
---
# Odd names

A data set for a test.
"""


@pytest.fixture
def repo(cast: Cast) -> Repo:
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["a", "b"], "_type": "ClassLabel"},
    }
    columns: dict[str, Any] = {
        "image": [{"bytes": png(), "path": "x.png"}],
        "label": [1],
        'say "hi"\n': ["text"],
        "say 'hi' ": [1.5],
        "many": [[1, 2]],
        "nested": [{"x": 1}],
        "flag": [True],
    }
    files = {
        "README.md": CARD,
        "b.jsonl": json_lines([{"t": "x", "a b": 1}]),
        "c.csv": "x,y\n1,2\n",
    }
    repo = make_repo(cast.organization, "odd-names", repo_type="dataset", files=files)
    commit_large(repo, {"a/0.parquet": parquet_of(columns, features), "d/cat/1.png": png()})
    return repo


@pytest.mark.parametrize("address", ["/api/datasets/{}/croissant", "/api/v1/datasets/{}/croissant"])
def test_mlcommons_library_finds_nothing_wrong(repo: Repo, address: str, tmp_path: Path) -> None:
    answer = Client().get(address.format(repo.full_name))
    assert answer.status_code == 200
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(answer.json()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        import mlcroissant

        found = mlcroissant.Dataset(jsonld=path)
    issues = found.metadata.ctx.issues
    assert not issues.errors
    sets = {each.name: [field.name for field in each.fields] for each in found.metadata.record_sets}
    assert set(sets) == {"main", "in_lines_2_", "plain", "pictures"}
    assert sets["plain"] == ["x", "y"]
    assert "nested" not in sets["main"]
    assert len(sets["main"]) == 6


def test_data_set_without_data_has_a_description_without_records(cast: Cast) -> None:
    repo = make_repo(cast.organization, "empty", repo_type="dataset", files={"README.md": "# E"})
    body = Client().get(f"/api/datasets/{repo.full_name}/croissant").json()
    assert body["recordSet"] == []
    assert [each["@id"] for each in body["distribution"]] == ["repo"]


@pytest.mark.parametrize("role", ROLES)
def test_description_of_a_private_data_set_is_for_its_readers(cast: Cast, role: str) -> None:
    repo = cast.private_repo("hidden", repo_type="dataset")
    answer = cast.api_client(role).get(f"/api/datasets/{repo.full_name}/croissant")
    expected = {"stranger": 404, "anonymous": 401}.get(role, 200)
    assert answer.status_code == expected


def test_pages_of_a_data_set_lead_to_it(repo: Repo) -> None:
    link = f'href="/api/datasets/{repo.full_name}/croissant"'.encode()
    for page in ("", "/viewer"):
        assert link in Client().get(repo.url_path + page).content
