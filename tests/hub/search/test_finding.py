"""What is found, by whom and in which order; the suite runs on both databases."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.actions.repos import delete_repo, move_repo, update_repo_settings
from hub.actions.search import sweep_search
from hub.errors import InvalidInput
from hub.models import Repo, RepoSearch
from hub.queries import SORT_FIELDS, RepoFilter, list_repos, paginate
from hub.search import postgres
from tests.support.factories import commit, make_repo, make_user

CARD = """---
license: mit
language: [fr]
pipeline_tag: fill-mask
library_name: transformers
datasets: [squad]
---
# Title

A model of Café menus. 这是一个中文情感分析模型。

Later the word zebra occurs.
"""


def names(user=None, *, sort="", repo_type="model", limit=50, **conditions):
    repos = list_repos(user, repo_type, RepoFilter(**conditions))
    page = paginate(repos, sort=sort, cursor=None, limit=limit)
    return [repo.name for repo in page.rows]


def found(text, user=None, **more):
    return names(user, search=[text], **more)


@pytest.fixture
def ann(db):
    return make_user("ann")


@pytest.fixture
def bert(ann):
    return make_repo(ann, "my-bert-tiny", files={"README.md": CARD})


@pytest.mark.parametrize(
    "text",
    [
        "bert", "ber", "ert", "BERT", "my-bert", "my-bert-tiny", "ann/my-bert", "tiny bert", "ann",
        "zebra", "zeb", "cafe", "Café", "menus bert", "情感", "情感分析", "中文情感", "模",
        "fill-mask", "mit", "squad", "license:mit",
    ],
)  # fmt: skip
def test_a_model_is_found_by(bert, text):
    assert found(text) == ["my-bert-tiny"]


@pytest.mark.parametrize("text", ["bart", "情形", "bert zulu", "title2", "...", "mybert"])
def test_a_model_is_not_found_by(bert, text):
    assert found(text) == []


def test_all_searches_must_match(bert):
    assert names(search=["bert", "zebra"]) == ["my-bert-tiny"]
    assert names(search=["bert", "lion"]) == []


def test_whole_names_come_first_then_parts_then_texts(ann):
    make_repo(ann, "other", files={"README.md": "As good as bert."})
    make_repo(ann, "my-bert")
    make_repo(ann, "bert")
    popular = make_repo(ann, "roberta")
    Repo.objects.filter(name__in=["other", "roberta"]).update(downloads=9)
    assert found("bert") == ["bert", "roberta", "my-bert", "other"]
    assert found("bert", sort="createdAt") == [popular.name, "bert", "my-bert", "other"]


def test_types_are_lists_of_their_own(bert, ann):
    make_repo(ann, "bert-data", repo_type="dataset")
    assert found("bert") == ["my-bert-tiny"]
    assert found("bert", repo_type="dataset") == ["bert-data"]


@pytest.mark.parametrize(
    "conditions",
    [
        {"tags": ["license:mit"]},
        {"tags": ["fr"]},
        {"tags": ["language:fr"]},
        {"tags": ["dataset:squad"]},
        {"pipeline_tag": "fill-mask"},
        {"library": "transformers"},
        {"author": "ANN"},
        {"author": "ann", "tags": ["fr", "license:mit"], "search": ["zebra"]},
    ],
)
def test_conditions_let_through_what_meets_them(bert, ann, conditions):
    make_repo(ann, "plain")
    make_repo(make_user("bob"), "also", files={"README.md": "---\nlicense: apache-2.0\n---\n"})
    assert "my-bert-tiny" in names(**conditions)
    assert "also" not in names(**conditions)


def test_sizes_are_ranges(ann):
    for number in (1, 10, 100):
        repo = make_repo(ann, f"m{number}")
        Repo.objects.filter(pk=repo.pk).update(parameter_count=number)
    make_repo(ann, "unknown")
    assert names(min_parameters=10) == ["m100", "m10"]
    assert names(max_parameters=10, search=["m1"]) == ["m1", "m10"]


def test_what_is_found_follows_each_change(ann, bert):
    commit(bert, {"README.md": "Only lions here."})
    assert (found("zebra"), found("lion")) == ([], ["my-bert-tiny"])
    move_repo(repo=bert, namespace=make_user("bob").namespace, name="renamed", acting_user=ann)
    assert (found("bert"), found("ann"), found("bob renamed lion")) == ([], [], ["renamed"])
    update_repo_settings(repo=bert, is_private=True, acting_user=ann)
    assert found("lion") == []
    delete_repo(repo=bert, acting_user=ann)
    assert not RepoSearch.objects.exists()


def test_a_change_that_fails_leaves_what_is_found(ann, bert, monkeypatch):
    from hub.actions import repos

    monkeypatch.setattr(repos, "record", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        move_repo(repo=bert, namespace=ann.namespace, name="renamed", acting_user=ann)
    assert (found("bert"), found("renamed")) == (["my-bert-tiny"], [])


def test_terms_can_be_rebuilt(bert, ann):
    make_repo(ann, "second")
    RepoSearch.objects.all().delete()
    assert found("zebra") == []
    assert sweep_search() == 2
    assert sweep_search() == 0
    assert found("zebra") == ["my-bert-tiny"]
    RepoSearch.objects.update(terms="m.nothing")
    call_command("rebuild_search", verbosity=0)
    assert (found("zebra"), found("nothing")) == (["my-bert-tiny"], [])


@pytest.mark.parametrize("sort", ["", *SORT_FIELDS])
@pytest.mark.parametrize("search", [[], ["shared"]])
def test_private_ones_are_seen_by_their_readers_alone(cast, sort, search):
    for name in ("shared-open", "shared-second"):
        cast.public_repo(name)
    cast.private_repo("shared-secret")
    make_repo(cast.stranger, "shared-own", is_private=True)
    open_ones = {"shared-open", "shared-second"}
    seen = {
        "owner": {"shared-secret"}, "member": {"shared-secret"}, "reader": {"shared-secret"},
        "stranger": {"shared-own"}, "admin": {"shared-secret", "shared-own"}, "anonymous": set(),
    }  # fmt: skip
    for role, hidden in seen.items():
        assert set(names(cast.user(role), sort=sort, search=search)) == open_ones | hidden, role


@pytest.mark.parametrize("sort", ["relevance", *SORT_FIELDS])
def test_pages_are_whole_and_stable_while_others_upload(ann, sort):
    for number in range(9):
        repo = make_repo(
            ann, f"thing{number}", is_private=number % 3 == 0, files={"README.md": "thing"}
        )
        day = timezone.now() - timedelta(days=number // 2)
        Repo.objects.filter(pk=repo.pk).update(
            downloads=number // 2, likes=number // 3, trending_score=5, last_modified=day
        )
    repos = list_repos(ann, "model", RepoFilter(search=["thing"]))
    whole = [repo.pk for repo in paginate(repos, sort=sort, cursor=None, limit=50).rows]
    seen, cursor = [], None
    while True:
        page = paginate(repos, sort=sort, cursor=cursor, limit=2)
        seen += [repo.pk for repo in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
        newcomer = make_repo(ann, f"thing-new-{len(seen)}")
        Repo.objects.filter(pk=newcomer.pk).update(
            downloads=99, likes=99, trending_score=99, last_modified=timezone.now()
        )
    assert [pk for pk in seen if pk in whole] == whole
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("rows", [1, 2, 10_000])
def test_walking_and_gathering_find_the_same(ann, monkeypatch, rows):
    """However far a walk goes, the page is the same."""
    monkeypatch.setattr(postgres, "WALK_ROWS", rows)
    for number in range(6):
        repo = make_repo(ann, f"a{number}", is_private=number == 4)
        is_rare = number in {1, 4}
        commit(repo, {"README.md": f"---\ntags: [{'rare' if is_rare else 'usual'}]\n---\nwords"})
        Repo.objects.filter(pk=repo.pk).update(downloads=number, parameter_count=number)
    assert names(ann, sort="downloads", tags=["rare"]) == ["a4", "a1"]
    assert names(sort="downloads", tags=["rare"], limit=1) == ["a1"]
    assert names(ann, sort="downloads", min_parameters=3, limit=2) == ["a5", "a4"]
    assert found("words", ann, limit=3) == ["a5", "a4", "a3"]


@pytest.mark.parametrize(
    "cursor", ["x", "é", "W10", "bnVsbA", "WyJsaWtlcyIsMCwxLDFd", "WyJkb3dubG9hZHMiLDAsImEiLDFd"]
)
def test_a_cursor_that_is_not_ours_is_refused(ann, cursor):
    repos = list_repos(None, "model", RepoFilter())
    with pytest.raises(InvalidInput):
        paginate(repos, sort="downloads", cursor=cursor, limit=5)


syntax = st.text(
    alphabet="abert*\"'&|!():-^~{}[]\\/% \0\n\u4e2d\u6587\ud800é#@=.<>+NEAROT", max_size=40
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.one_of(st.text(max_size=60), syntax))
def test_no_text_breaks_the_search(bert, text):
    assert (
        found(text)
        in (
            [],
            ["my-bert-tiny"],
        )
        or not text.strip()
    )
    assert names(tags=[text]) in ([], ["my-bert-tiny"])
    assert names(author=text) in ([], ["my-bert-tiny"])
