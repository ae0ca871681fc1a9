"""The viewer's pages: by role, by question, and when there is nothing to show."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from hub.actions.repos import delete_repo
from hub.models import Repo
from hub.viewer.portal.forms import Wish, condition_of
from hub.viewer.reader.filters import parse_where
from tests.support.cast import ROLES, Cast
from tests.support.data_files import json_lines, parquet_of, png
from tests.support.factories import make_repo

pytestmark = pytest.mark.django_db
MAY_READ = {"owner", "member", "reader", "admin"}
ROWS = [
    {"name": "<script>alert(1)</script>", "n": 1, "deep": {"a": [None]}},
    {"name": None, "n": 2, "deep": None},
    {"name": "long " * 100, "n": 3, "deep": {"a": []}},
]
PAGES = [
    "/viewer",
    "/viewer/default/train",
    "/viewer/default/train?q=long&where=n+%3E+1&orderby=n",
    "/viewer/default/train/statistics",
    "/viewer-preview",
]


def data_set(cast: Cast, files: dict[str, bytes | str], **facts: Any) -> Repo:
    return make_repo(
        cast.organization, repo_type="dataset", files=files, creator=cast.owner, **facts
    )


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return data_set(cast, {"a.jsonl": json_lines(ROWS)})


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("role", ROLES)
def test_private_rows_are_seen_by_readers_only(cast: Cast, role: str, page: str) -> None:
    private = data_set(cast, {"a.jsonl": json_lines(ROWS)}, is_private=True)
    assert cast.web_client("owner").get(private.url_path + page).status_code == 200
    answer = cast.web_client(role).get(private.url_path + page)
    if role in MAY_READ:
        assert answer.status_code == 200
    else:
        assert answer.status_code == (401 if role == "anonymous" else 404)
        assert b"alert(1)" not in answer.content
        assert b"viewer-table" not in answer.content


def test_values_are_escaped_folded_and_nulls_are_named(repo: Repo) -> None:
    content = Client().get(f"{repo.url_path}/viewer").content.decode()
    assert "<script>alert(1)" not in content
    assert "&lt;script&gt;alert(1)" in content
    assert content.count('class="viewer-null"') == 2
    assert '<details class="viewer-long">' in content
    assert "{&quot;a&quot;: [null]}" in content
    assert "Rows 1 to 3 of 3" in content


def test_search_filter_and_order_are_shown_and_can_be_taken_back(repo: Repo) -> None:
    address = f"{repo.url_path}/viewer/default/train?q=long&where=n+%3E+1&orderby=n+DESC"
    content = Client().get(address).content.decode()
    assert re.findall(r'<th scope="row"[^>]*>(\d+)', content) == ["2"]
    assert "?where=n+%3E+1&amp;orderby=n+DESC" in content  # without the search
    assert "?q=long&amp;orderby=n+DESC" in content  # without the condition


def test_fields_of_the_form_join_the_condition(repo: Repo) -> None:
    query = {"where": "n > 1", "column": "name", "op": "ILIKE", "value": "50%_of'it"}
    answer = Client().get(f"{repo.url_path}/viewer/default/train?{urlencode(query)}")
    assert answer.status_code == 302
    (where,) = parse_qs(urlsplit(answer["Location"]).query)["where"]
    assert where == r"""(n > 1) AND "name" ILIKE '%50\%\_of''it%'"""
    assert Client().get(answer["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("=", "5", '"c" = 5'),
        ("=", "'5'", "\"c\" = '5'"),
        ("=", "five", "\"c\" = 'five'"),
        ("=", "true", '"c" = TRUE'),
        (">", "1.5", '"c" > 1.5'),
        ("=", "x' OR 1=1", "\"c\" = 'x'' OR 1=1'"),
        ("IS NULL", "ignored", '"c" IS NULL'),
        ("=", "1e400", "\"c\" = '1e400'"),
        ("=", "nan", "\"c\" = 'nan'"),
    ],
)
def test_form_makes_conditions_that_parse(operator: str, value: str, expected: str) -> None:
    made = condition_of("c", operator, value)
    assert made == expected
    assert parse_where(made) is not None


def test_another_split_is_one_choice_away(cast: Cast) -> None:
    repo = data_set(cast, {"train.csv": "x\n1\n", "test.csv": "x\n2\n"})
    answer = Client().get(f"{repo.url_path}/viewer?go=0-1")
    assert answer["Location"] == f"{repo.url_path}/viewer/default/test"


@pytest.mark.parametrize(
    ("files", "path", "status", "words"),
    [
        ({"a.csv": "a,b\n1\n"}, "/viewer", 422, "A row has another number of fields"),
        ({"a.csv": "a,b\n1\n"}, "/viewer-preview", 200, "Line 2 of a.csv"),
        ({"a.parquet": b"PAR1nothing"}, "/viewer", 422, "This file cannot be read"),
        ({"a.csv": "a\n1\n"}, "/viewer/other/train", 404, "There is no such config"),
        ({"a.csv": "a\n1\n"}, "/viewer/default/dev", 404, "There is no such split"),
        ({"a.csv": "a\n1\n"}, "/viewer?where=b=1", 400, "There is no such column"),
        ({"a.csv": "a\n1\n"}, "/viewer?where=%22", 400, "This condition cannot be used"),
        ({"README.md": "# Soon"}, "/viewer", 200, "No rows to show yet"),
    ],
)
def test_page_says_what_is_wrong_and_what_to_do(
    cast: Cast, files: dict[str, bytes | str], path: str, status: int, words: str
) -> None:
    answer = Client().get(data_set(cast, files).url_path + path)
    assert (answer.status_code, words in answer.content.decode()) == (status, True)


def test_page_speaks_chinese(cast: Cast) -> None:
    repo = data_set(cast, {"a.csv": "a,b\n1\n"})
    answer = Client().get(f"{repo.url_path}/viewer", headers={"accept-language": "zh-hans"})
    assert "有一行的字段数与首行不同" in answer.content.decode()


def test_statistics_draw_bars_and_link_labels_to_their_rows(cast: Cast) -> None:
    rows = [{"n": i, "kind": "it's" if i % 2 else 'a "b"'} for i in range(40)]
    repo = data_set(cast, {"a.jsonl": json_lines(rows)})
    page = f"{repo.url_path}/viewer/default/train"
    content = Client().get(f"{page}/statistics").content.decode()
    assert content.count("<rect ") == 10
    links = re.findall(r'href="([^"]+where=[^"]+)"', content)
    assert len(links) == 2
    for link in links:
        shown = Client().get(link).content.decode()
        assert "Rows 1 to 20 of 20" in shown
    assert "<rect " in Client().get(page).content.decode(), "kept ones come with the page"


def test_pictures_kept_on_disk_go_with_their_data_set(
    cast: Cast, data_dir: Any, django_capture_on_commit_callbacks: Any
) -> None:
    content = parquet_of({"image": [{"bytes": png(), "path": "x"}]}, {"image": {"_type": "Image"}})
    repo = data_set(cast, {"a.parquet": content})
    page = Client().get(f"{repo.url_path}/viewer").content.decode()
    source = re.findall(r'src="([^"]+viewer-media[^"]+)"', page)[0].replace("&amp;", "&")
    assert Client().get(source).content == png()
    assert list((data_dir / "viewer").glob("[0-9]*/*"))
    with django_capture_on_commit_callbacks(execute=True):
        delete_repo(repo=repo, acting_user=cast.owner)
    assert list((data_dir / "viewer").glob("[0-9]*/*")) == []
    assert Client().get(source).status_code == 401


def test_models_have_no_viewer(cast: Cast) -> None:
    model = cast.public_repo()
    assert b"/viewer" not in Client().get(model.url_path).content
    assert Client().get(f"/datasets/{model.full_name}/viewer").status_code == 401


def test_address_of_a_question_starts_at_its_first_page() -> None:
    wish = Wish(query="a", page=7)
    assert wish.address(p=8) == "?q=a&p=8"
    assert wish.address(where="n = 1") == "?q=a&where=n+%3D+1"
