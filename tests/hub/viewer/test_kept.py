"""What the viewer keeps: where, how much, and that what is deleted for good is kept no longer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from django.test import Client

from hub.actions.large_files import delete_large_files
from hub.viewer import kept
from tests.support.cast import Cast
from tests.support.data_files import parquet_of, png
from tests.support.factories import commit_large, make_repo

pytestmark = pytest.mark.django_db
PICTURES = parquet_of(
    {"image": [{"bytes": png(3, 2), "path": "x"}, {"bytes": png(), "path": "y"}]},
    {"image": {"_type": "Image"}},
)


def media_of(rows: list[dict[str, Any]]) -> list[str]:
    addresses = [urlsplit(row["row"]["image"]["src"]) for row in rows]
    return [f"{address.path}?{address.query}" for address in addresses]


@pytest.mark.parametrize("is_forgotten", [True, False], ids=["here", "another_disk"])
def test_rows_and_pictures_deleted_for_good_are_not_shown_at_their_old_commit(
    cast: Cast, is_forgotten: bool, django_capture_on_commit_callbacks: Any
) -> None:
    """Also by a web process that keeps them on a disk of its own, where no news arrives."""
    repo = make_repo(cast.organization, repo_type="dataset", creator=cast.owner)
    old = commit_large(repo, {"a.parquet": PICTURES})
    rows = f"/api/v1/datasets/{repo.full_name}/rows?revision={old}"
    client = Client()
    first, second = media_of(client.get(rows).json()["rows"])
    assert client.get(first).content == png(3, 2)
    assert client.get(second).content == png()
    with django_capture_on_commit_callbacks(execute=is_forgotten):
        delete_large_files(
            repo=repo, oids=[hashlib.sha256(PICTURES).hexdigest()],
            rewrite_history=True, acting_user=cast.owner,
        )  # fmt: skip
    for address in (rows, first, second):
        answer = client.get(address)
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "FileUnavailable")
        assert b"PNG" not in answer.content


def test_answers_are_kept_on_disk_and_not_in_the_cache(
    cast: Cast, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(cast.organization, repo_type="dataset", files={"a.csv": "x\n1\n"})
    monkeypatch.setattr(cache, "set", None)
    address = f"/api/v1/datasets/{repo.full_name}/rows"
    first = Client().get(address).json()
    assert len(list((data_dir / "viewer" / str(repo.pk)).iterdir())) == 2  # configs and rows
    monkeypatch.setattr("hub.viewer.queries.run_job", None)
    assert Client().get(address).json() == first


def test_what_was_kept_first_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", 10 * kept.SMALLEST_BYTES)
    places = [kept.place_of(1, n) for n in range(40)]
    for place in places:
        kept.keep(place, b"{}")
    left = [place.exists() for place in places]
    assert sum(left) == 10
    assert left[-1]


def test_refused_questions_about_media_leave_nothing_behind(cast: Cast, data_dir: Path) -> None:
    repo = make_repo(cast.organization, repo_type="dataset", files={"a.csv": "x\n1\n"})
    for number in range(3):
        query = f"column=c{number}&row=0&config=default&split=train"
        assert Client().get(f"{repo.url_path}/viewer-media?{query}").status_code == 400
    assert len(list((data_dir / "viewer" / str(repo.pk)).iterdir())) == 1  # configs


def test_card_that_asks_too_much_is_told_so_on_page_and_by_call(cast: Cast) -> None:
    splits = "".join(f"  - {{split: s{n}, path: a.csv}}\n" for n in range(5_001))
    card = f"---\nconfigs:\n- config_name: many\n  data_files:\n{splits}---\n"
    repo = make_repo(
        cast.organization, repo_type="dataset", files={"README.md": card, "a.csv": "x\n1\n"}
    )
    answer = Client().get(f"/api/v1/datasets/{repo.full_name}/splits")
    assert (answer.status_code, answer.json()["code"]) == (422, "TooManyFiles")
    page = Client().get(f"{repo.url_path}/viewer")
    assert page.status_code == 422
    assert "There are too many files for the configs" in page.content.decode()
