"""`/api/v1/datasets/…`: who sees which rows, in the shapes that users of the Hub know."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import Client

from hub.models import Repo
from tests.support.cast import ROLES, Cast
from tests.support.data_files import json_lines, parquet, parquet_of, png, wav
from tests.support.factories import commit, commit_large, make_repo

pytestmark = pytest.mark.django_db
MAY_READ = {"owner", "member", "reader", "admin"}
CALLS = ["splits", "rows", "search?query=a", "filter?where=n=1", "statistics", "parquet"]
PEOPLE = [
    {"name": "Ann", "age": 31, "home": {"city": "Delft"}},
    {"name": "Bob", "age": None, "home": None},
    {"name": "Cyd", "age": 25, "home": {"city": "Gouda"}},
]


def data_set(cast: Cast, files: dict[str, bytes | str], **facts: Any) -> Repo:
    return make_repo(
        cast.organization, repo_type="dataset", files=files, creator=cast.owner, **facts
    )


def ask(client: Client, repo: Repo, call: str, **query: Any) -> Any:
    address = f"/api/v1/datasets/{repo.full_name}/{call}"
    return client.get(f"{address}?{urlencode(query, doseq=True)}" if query else address)


@pytest.fixture
def people(cast: Cast) -> Repo:
    return data_set(cast, {"people.jsonl": json_lines(PEOPLE)})


@pytest.mark.parametrize("call", [*CALLS, "croissant"])
@pytest.mark.parametrize("role", ROLES)
def test_private_data_set_answers_its_readers_only_even_after_they_asked(
    cast: Cast, role: str, call: str
) -> None:
    """The owner asks first, so that every answer is kept when the others come."""
    files = {"data/train-00000-of-00001.parquet": parquet({"n": [1, 2], "t": ["a", "b"]})}
    repo = data_set(cast, files, is_private=True)
    first = ask(cast.api_client("owner"), repo, call)
    answer = ask(cast.api_client(role), repo, call)
    assert first.status_code == 200
    if role in MAY_READ:
        assert answer.json() == first.json()
    else:
        absent = cast.api_client(role).get(f"/api/v1/datasets/guild/nothing/{call}")
        assert answer.status_code == absent.status_code == (401 if role == "anonymous" else 404)
        assert answer.json()["code"] == absent.json()["code"] == "RepoNotFound"
        assert repo.name not in absent.content.decode()


def test_answers_of_one_private_data_set_are_not_given_for_another(cast: Cast) -> None:
    mine = make_repo(cast.stranger, "same", repo_type="dataset", is_private=True)
    other = make_repo(cast.owner, "same", repo_type="dataset", is_private=True)
    commit(mine, {"a.jsonl": json_lines([{"t": "mine"}])})
    commit(other, {"a.jsonl": json_lines([{"t": "else"}])})
    assert ask(cast.api_client("owner"), other, "rows").json()["rows"][0]["row"] == {"t": "else"}
    assert ask(cast.api_client("stranger"), mine, "rows").json()["rows"][0]["row"] == {"t": "mine"}


def test_rows_have_features_and_keep_nulls_and_nesting(cast: Cast, people: Repo) -> None:
    body = ask(cast.api_client("anonymous"), people, "rows", config="default", split="train").json()
    assert body["rows"] == [
        {"row_idx": at, "row": row, "truncated_cells": []} for at, row in enumerate(PEOPLE)
    ]
    assert body["features"] == [
        {"feature_idx": 0, "name": "name", "type": {"dtype": "string", "_type": "Value"}},
        {"feature_idx": 1, "name": "age", "type": {"dtype": "int64", "_type": "Value"}},
        {"feature_idx": 2, "name": "home", "type": {"city": {"dtype": "string", "_type": "Value"}}},
    ]
    assert (body["num_rows_total"], body["num_rows_per_page"], body["partial"]) == (3, 100, False)


def test_search_filter_and_order_keep_the_number_of_each_row(cast: Cast, people: Repo) -> None:
    client = cast.api_client("stranger")
    found = ask(client, people, "search", query="YD").json()
    assert [(row["row_idx"], row["row"]["name"]) for row in found["rows"]] == [(2, "Cyd")]
    assert found["num_rows_total"] == 1
    ordered = ask(client, people, "filter", where='"age" > 20', orderby='"age"').json()
    assert [row["row_idx"] for row in ordered["rows"]] == [2, 0]
    second = ask(client, people, "filter", orderby='"age" DESC', offset=1, length=2).json()
    assert [row["row_idx"] for row in second["rows"]] == [2, 1]  # nulls come last
    assert second["num_rows_total"] == 3


@pytest.mark.parametrize(
    ("call", "query", "status", "code"),
    [
        ("rows", {"config": "other"}, 404, "ConfigNotFound"),
        ("rows", {"split": "dev"}, 404, "SplitNotFound"),
        ("rows", {"revision": "nowhere"}, 404, "RevisionNotFound"),
        ("rows", {"columns": "height"}, 400, "ColumnNotFound"),
        ("rows", {"length": 101}, 400, "InvalidInput"),
        ("rows", {"length": 0}, 400, "InvalidInput"),
        ("rows", {"offset": -1}, 400, "InvalidInput"),
        ("search", {}, 400, "InvalidInput"),
        ("filter", {"where": '"height" > 1'}, 400, "ColumnNotFound"),
        ("filter", {"where": "name = 1"}, 400, "BadFilter"),
        ("filter", {"where": "home = 'x'"}, 400, "BadFilter"),
        ("filter", {"where": "age >"}, 400, "BadFilter"),
        ("filter", {"where": "1=1; DROP TABLE hub_repo"}, 400, "BadFilter"),
        ("filter", {"orderby": "home"}, 400, "BadFilter"),
        ("filter", {"orderby": "age; SELECT 1"}, 400, "BadFilter"),
    ],
)
def test_what_cannot_be_answered_says_why(
    cast: Cast, people: Repo, call: str, query: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(cast.api_client("stranger"), people, call, **query)
    assert answer.status_code == status, answer.content
    assert answer.json()["code"] == answer["X-Error-Code"] == code
    assert len(answer.json()["error"]) > 20


def test_rows_behind_the_end_are_an_empty_page(cast: Cast, people: Repo) -> None:
    body = ask(cast.api_client("stranger"), people, "rows", offset=500).json()
    assert (body["rows"], body["num_rows_total"]) == ([], 3)


def test_only_the_named_columns_are_answered(cast: Cast, people: Repo) -> None:
    body = ask(cast.api_client("stranger"), people, "rows", columns=["age", "name"]).json()
    assert body["rows"][0]["row"] == {"age": 31, "name": "Ann"}


def test_splits_come_from_the_card_else_from_names(cast: Cast) -> None:
    card = (
        "---\nconfigs:\n- config_name: big\n  data_files: 'a/*.csv'\n- config_name: small\n"
        "  default: true\n  data_files:\n  - split: test\n    path: ['b/t.csv']\n---\n"
    )
    files = {"README.md": card, "a/1.csv": "x\n1\n", "b/t.csv": "x\n2\n", "b/no.csv": "x\n3\n"}
    repo = data_set(cast, files)
    body = ask(cast.api_client("anonymous"), repo, "splits").json()
    names = [(each["config"], each["split"]) for each in body["splits"]]
    assert names == [("small", "test"), ("big", "train")]
    rows = ask(cast.api_client("anonymous"), repo, "rows").json()["rows"]
    assert [row["row"] for row in rows] == [{"x": 2}]


def test_parquet_files_are_named_with_an_address_that_gives_them(cast: Cast) -> None:
    content = parquet({"n": [1]})
    repo = data_set(cast, {})
    commit_large(repo, {"data/test-00000-of-00001.parquet": content})
    body = ask(cast.api_client("anonymous"), repo, "parquet").json()
    (file,) = body["parquet_files"]
    assert (file["config"], file["split"], file["size"]) == ("default", "test", len(content))
    address = urlsplit(file["url"]).path
    assert b"".join(Client().get(address).streaming_content) == content  # type: ignore[attr-defined]


def test_statistics_have_the_hubs_shape(cast: Cast) -> None:
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    columns = {
        "n": [0, 1, 2, None, 19],
        "label": [0, 1, 1, -1, 1],
        "ok": [True, False, None, True, True],
        "word": ["a", "b", "a", "a", "b"],
    }
    repo = data_set(cast, {"a.parquet": parquet_of(columns, features)})
    body = ask(cast.api_client("anonymous"), repo, "statistics").json()
    found = {each["column_name"]: each for each in body["statistics"]}
    assert (body["num_examples"], body["partial"]) == (5, False)
    assert {name: each["column_type"] for name, each in found.items()} == {
        "n": "int", "label": "class_label", "ok": "bool", "word": "string_label",
    }  # fmt: skip
    n = found["n"]["column_statistics"]
    assert (n["nan_count"], n["min"], n["max"], n["mean"], n["median"]) == (1, 0, 19, 5.5, 1.5)
    # (19 - 0 + 1) / 10 values a bin; the last edge is the largest value.
    assert n["histogram"]["bin_edges"] == [*range(0, 19, 2), 19]
    assert n["histogram"]["hist"] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    label = found["label"]["column_statistics"]
    assert (label["frequencies"], label["no_label_count"]) == ({"no": 1, "yes": 3}, 1)
    assert found["ok"]["column_statistics"]["frequencies"] == {"True": 3, "False": 1}
    assert found["word"]["column_statistics"]["frequencies"] == {"a": 3, "b": 2}


def test_pictures_in_rows_are_served_as_pictures_and_nothing_else(cast: Cast) -> None:
    image = {"bytes": png(3, 2), "path": "x.png"}
    page = {"bytes": b"<html><script>alert(1)</script>", "path": "x.png"}
    columns = {"image": [image, page, None, {"bytes": b"", "path": "e.png"}]}
    repo = data_set(cast, {"a.parquet": parquet_of(columns, {"image": {"_type": "Image"}})})
    rows = ask(cast.api_client("anonymous"), repo, "rows").json()["rows"]
    cells = [row["row"]["image"] for row in rows]
    assert cells[2] is None
    client = Client()
    shown = client.get(urlsplit(cells[0]["src"]).path + "?" + urlsplit(cells[0]["src"]).query)
    assert (shown.content, shown["Content-Type"]) == (png(3, 2), "image/png")
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert shown["Content-Security-Policy"].startswith("sandbox")
    for cell in (cells[1], cells[3]):
        address = urlsplit(cell["src"])
        refused = client.get(f"{address.path}?{address.query}")
        assert refused.status_code == 404
        assert b"alert(1)" not in refused.content


@pytest.mark.parametrize("role", ROLES)
def test_pictures_of_a_private_data_set_are_for_its_readers(cast: Cast, role: str) -> None:
    columns = {"image": [{"bytes": png(), "path": "x.png"}]}
    content = parquet_of(columns, {"image": {"_type": "Image"}})
    repo = data_set(cast, {"a.parquet": content}, is_private=True)
    rows = ask(cast.api_client("owner"), repo, "rows").json()["rows"]
    address = urlsplit(rows[0]["row"]["image"]["src"])
    assert cast.web_client("owner").get(f"{address.path}?{address.query}").status_code == 200
    answer = cast.web_client(role).get(f"{address.path}?{address.query}")
    expected = 200 if role in MAY_READ else 401 if role == "anonymous" else 404
    assert answer.status_code == expected


def test_folder_of_pictures_has_a_row_a_file_with_label_or_metadata(cast: Cast) -> None:
    files = {"train/cat/1.png": png(), "train/dog/2.png": png(5, 4), "train/dog/10.png": png()}
    repo = data_set(cast, files)
    body = ask(cast.api_client("anonymous"), repo, "rows").json()
    assert body["features"][1]["type"] == {"_type": "ClassLabel", "names": ["cat", "dog"]}
    assert [row["row"]["label"] for row in body["rows"]] == [0, 1, 1]
    second = body["rows"][1]["row"]["image"]
    assert (second["width"], second["height"]) == (5, 4)
    assert Client().get(urlsplit(second["src"]).path)["Content-Type"] == "image/png"
    told = data_set(
        cast, {"a.png": png(), "b.png": png(), "metadata.csv": "file_name,caption\nb.png,Bee\n"}
    )
    rows = ask(cast.api_client("anonymous"), told, "rows").json()["rows"]
    assert [row["row"]["caption"] for row in rows] == [None, "Bee"]


def test_folder_of_sounds_is_playable_and_seekable(cast: Cast) -> None:
    repo = data_set(cast, {"a.wav": wav(), "b.wav": wav(0)})
    rows = ask(cast.api_client("anonymous"), repo, "rows").json()["rows"]
    (source,) = rows[0]["row"]["audio"]
    assert source["type"] == "audio/wav"
    part = Client().get(urlsplit(source["src"]).path, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.getvalue()) == (206, b"RIFF")  # type: ignore[attr-defined]
    assert rows[1]["row"]["audio"][0]["src"]


def test_sounds_in_rows_are_sent_in_ranges(cast: Cast) -> None:
    columns = {"audio": [{"bytes": wav(), "path": None}]}
    content = parquet_of(columns, {"audio": {"_type": "Audio", "sampling_rate": 8000}})
    repo = data_set(cast, {"a.parquet": content})
    rows = ask(cast.api_client("anonymous"), repo, "rows").json()["rows"]
    address = urlsplit(rows[0]["row"]["audio"][0]["src"])
    part = Client().get(f"{address.path}?{address.query}", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, wav()[4:8])
    assert part["Content-Range"] == f"bytes 4-7/{len(wav())}"


def test_data_set_without_data_and_model_answer_404(cast: Cast) -> None:
    empty = data_set(cast, {"README.md": "# Nothing yet"})
    client = cast.api_client("anonymous")
    assert ask(client, empty, "splits").json()["splits"] == []
    answer = ask(client, empty, "rows")
    assert (answer.status_code, answer.json()["code"]) == (404, "NoData")
    model = cast.public_repo()
    assert ask(client, model, "rows").status_code == 401  # as any name that is no data set's


def test_a_file_that_was_never_uploaded_is_told_from_a_broken_one(cast: Cast) -> None:
    from hub.models import RepoBlob

    repo = data_set(cast, {})
    commit_large(repo, {"a.parquet": parquet({"n": [1]})})
    RepoBlob.objects.filter(repo=repo).delete()
    answer = ask(cast.api_client("anonymous"), repo, "rows")
    assert (answer.status_code, answer.json()["code"]) == (404, "FileUnavailable")
    assert "a.parquet" in answer.json()["error"]


def test_calls_are_in_the_openapi_description(client: Client) -> None:
    schema = client.get("/api/v1/schema", {"format": "json"}).json()
    path = "/api/v1/datasets/{namespace}/{name}/filter"
    names = {each["name"] for each in schema["paths"][path]["get"]["parameters"]}
    assert {"where", "orderby", "offset", "length", "config", "split"} <= names
