"""A list costs the same few queries, however many rows there are and whoever asks."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.facets import facets_of
from hub.models import RepoType, Role
from tests.support.factories import make_organization, make_repo

MAX_QUERIES = 6


@pytest.fixture
def crowd(cast):
    for number in range(5):
        make_organization(admin=cast.owner, members={cast.member: Role.READ})
        for is_private in (False, True):
            make_repo(
                cast.organization,
                f"bert{number}{'-own' if is_private else ''}",
                is_private=is_private,
                creator=cast.owner,
                files={"README.md": "---\nlicense: mit\nlanguage: fr\n---\nWords."},
            )
    cache.clear()
    facets_of(RepoType.MODEL)  # whether a site is large is remembered
    return cast


def queries_of(client, address):
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200
    return len(queries)


@pytest.mark.parametrize(
    "question",
    ["", "search=bert", "search=words", "search=nothing", "search=bert&sort=likes", "author=guild",
     "license=mit", "filter=license:mit&num_parameters=max:1B"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/models", "/models"])
def test_lists_take_few_queries(crowd, path, question):
    for role in ("anonymous", "member", "admin"):
        client = crowd.web_client(role) if path == "/models" else crowd.api_client(role)
        client.get(path)  # notes that the token is used, once in a while
        few = queries_of(client, f"{path}?{question}&limit=1")
        many = queries_of(client, f"{path}?{question}&limit=100")
        assert max(few, many) <= MAX_QUERIES, role


def test_second_page_takes_no_more(crowd):
    client = crowd.api_client("member")
    first = client.get("/api/models?limit=3&sort=downloads")
    address = first["Link"].partition(";")[0].strip("<>").removeprefix("http://testserver")
    assert queries_of(client, address) <= MAX_QUERIES


def test_files_of_each_row_cost_no_query(crowd):
    client = crowd.api_client("member")
    client.get("/api/models")
    assert queries_of(client, "/api/models?full=true") <= MAX_QUERIES
