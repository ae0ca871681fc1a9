"""Lists, searches and filters over 1,000,000 repositories on PostgreSQL, in the view.

`python -m benchmarks.lists [--repos N] [--keep] [--reuse] [--server URL]`: makes a database of its
own, fills it (`benchmarks.list_rows`), asks each question many times through Django's test client
(the whole request but for the network), and drops the database. The peer is the budget: 50 ms.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from benchmarks.report import Row, compare, report

SERVER = "postgres://postgres@127.0.0.1:5432"
DATABASE = "modelguild_bench"
BUDGET_MS = 50.0
MAX_QUERIES = 6
REPEATS = int(os.environ.get("REPEATS", "100"))
WARM_UP = 3
DEEP_PAGE = 1_000
SORTS = ("trendingScore", "downloads", "likes", "lastModified", "createdAt")


@dataclass(frozen=True)
class Case:
    """One kind of question: each request takes the next of its addresses."""

    work: str
    urls: Sequence[str]


def main() -> None:
    options = _options()
    os.environ["DATABASE_URL"] = f"{options.server}/{DATABASE}"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings_test")
    if not options.reuse:
        _recreate(options.server)
    import django

    django.setup()
    try:
        if not options.reuse:
            _fill(options.repos)
        rows = _measure(options.only)
    finally:
        from django.db import connection

        connection.close()
        if not (options.keep or options.reuse):
            _drop(options.server)
    report("lists", rows)
    print(f"\nbudget {BUDGET_MS:g} ms at the 99th percentile; at most {MAX_QUERIES} queries")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repos", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="leave the database for --reuse")
    parser.add_argument("--reuse", action="store_true", help="measure on a database that was kept")
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    parser.add_argument("--server", default=SERVER)
    return parser.parse_args()


def _recreate(server: str) -> None:
    _drop(server)
    with _admin(server) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")


def _drop(server: str) -> None:
    with _admin(server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def _admin(server: str) -> Any:
    import psycopg

    return psycopg.connect(f"{server}/postgres", autocommit=True)


# --- Filling ---------------------------------------------------------------------------------


def _fill(n_repos: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.list_rows import N_OWNERS, Fill
    from hub.models import Membership, Namespace, Organization, Role, User

    call_command("migrate", verbosity=0)
    users = [User(username=f"owner{n}", password="!") for n in range(N_OWNERS)]
    users = User.objects.bulk_create(users, batch_size=2_000)
    Namespace.objects.bulk_create(
        (Namespace(name=user.username, user=user) for user in users), batch_size=2_000
    )
    member = users[-1]
    organizations = Organization.objects.bulk_create(Organization() for _ in range(3))
    own = [member.namespace]
    for number, organization in enumerate(organizations):
        own.append(Namespace.objects.create(name=f"org{number}", organization=organization))
        Membership.objects.create(organization=organization, user=member, role=Role.WRITE)
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        Fill(cursor, n_repos, [namespace.pk for namespace in own]).run()
    from hub.actions.facets import refresh_facets

    started = time.perf_counter()
    refresh_facets()
    print(f"facets counted in {time.perf_counter() - started:.1f} s")


# --- Measuring -------------------------------------------------------------------------------


def _measure(only: str) -> list[Row]:
    from django.test import Client

    clients = {"anonymous": Client(), "member": Client()}
    clients["member"].force_login(_member(), backend="django.contrib.auth.backends.ModelBackend")
    rows = []
    print(f"{'p50':>7} {'p99':>7}  queries", flush=True)
    for case in _cases():
        if only not in case.work:
            continue
        for who, client in clients.items():
            rows += _timed(f"{case.work}, {who}", client, case.urls)
    return rows


def _timed(work: str, client: Any, urls: Sequence[str]) -> list[Row]:
    taken = []
    for url in urls:
        client.get(url)
    n_queries = max(_queries(client, url) for url in urls)
    for number in range(REPEATS + WARM_UP):
        url = urls[number % len(urls)]
        started = time.perf_counter()
        answer = client.get(url)
        if number >= WARM_UP:
            taken.append((time.perf_counter() - started) * 1e3)
        if answer.status_code != 200:
            raise RuntimeError(f"{url}: {answer.status_code} {answer.content[:300]!r}")
    p50, p99 = statistics.median(taken), sorted(taken)[math.ceil(len(taken) * 0.99) - 1]
    print(f"{p50:7.1f} {p99:7.1f}  {n_queries}  {work}", flush=True)
    queries_row = compare(
        f"{work}: queries", n_queries, MAX_QUERIES, "", goal=1.0, higher_is_better=False
    )
    return [
        compare(f"{work}: p50", round(p50, 2), BUDGET_MS, "ms", higher_is_better=False),
        compare(f"{work}: p99", round(p99, 2), BUDGET_MS, "ms", goal=1.0, higher_is_better=False),
        queries_row,
    ]


def _queries(client: Any, url: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        client.get(url)
    return len(queries)


def _member() -> Any:
    from benchmarks.list_rows import N_OWNERS
    from hub.models import User

    return User.objects.get(username=f"owner{N_OWNERS - 1}")


def _cases() -> list[Case]:
    api, page = "/api/models?limit=30", "/models?"
    rare = _rare_words()
    cases = [Case(f"API, first page by {sort}", [f"{api}&sort={sort}"]) for sort in SORTS]
    cases += [Case(f"page, first by {sort}", [f"{page}sort={sort}"]) for sort in SORTS]
    cases += [
        Case(f"API, page {DEEP_PAGE:,} by {sort}", [_deep(sort)])
        for sort in ("downloads", "lastModified")
    ]
    filters = {
        "task, common": "pipeline_tag=text-generation",
        "task, rare": "pipeline_tag=depth-estimation",
        "library": "library=peft",
        "library, rare": "library=fairseq",
        "licence": "filter=license:mit",
        "licence, rare": "filter=license:wtfpl",
        "language": "filter=zh",
        "language, 1 in 100": "filter=eu",
        "tag": "filter=bert",
        "trained on a data set": f"filter=dataset:{rare[0]}/data",
        "sizes": "num_parameters=min:6B,max:8B",
        "sizes, rare": "num_parameters=min:100B",
        "author, large": "author=owner0",
        "author, small": "author=owner20123",
        "author, member's own": "author=org1",
        "task and library that never meet": "pipeline_tag=text-generation&library=diffusers",
        "task, licence and language": "pipeline_tag=fill-mask&filter=license:mit&filter=zh",
        "size, licence and task": (
            "num_parameters=max:1B&filter=license:mit&pipeline_tag=translation"
        ),
    }
    for name, query in filters.items():
        for sort in ("downloads", "lastModified"):
            cases.append(Case(f"API, filter {name}, by {sort}", [f"{api}&{query}&sort={sort}"]))
    data = "/api/datasets?limit=30"
    cases.append(Case("API, data sets of a language", [f"{data}&filter=language:fr"]))
    searches = {
        "common word": ["model", "training", "bert"],
        "word of 1 in 100 cards": ["pytorch", "speech", "mamba"],
        "rare word": rare,
        "part of a name": ["oberta", "istral", "av2vec"],
        "two words": ["bert tiny", "llama evaluation", f"qwen {rare[1]}"],
        "two rare words": [f"{rare[0]} {rare[1]}", f"{rare[2]} {rare[3]}"],
        "Chinese words": ["情感分析", "大语言模型", "中文 微调"],
        "rare Chinese": ["丁七", "倀係"],
        "short word": ["ll", "be", "7b"],
        "nothing": ["zzzzqqq", "xyzzy quux"],
        "owner and name": ["owner0/bert", "owner17/llama"],
    }
    for name, words in searches.items():
        cases.append(Case(f"API, search {name}", [f"{api}&search={quote(w)}" for w in words]))
        cases.append(Case(f"page, search {name}", [f"{page}search={quote(w)}" for w in words]))
    cases += [
        Case("page, filter and search", [f"{page}search=bert&task=fill-mask&license=mit"]),
        Case("API, search by likes", [f"{api}&search={w}&sort=likes" for w in ("bert", rare[0])]),
        Case("page of all kinds, search", ["/search?q=bert", f"/search?q={rare[2]}"]),
    ]  # fmt: skip
    return cases


def _deep(sort: str) -> str:
    """The address of page 1,000, walked to by the cursors that the pages give."""
    from django.test import Client

    client, url = Client(), f"/api/models?limit=30&sort={sort}"
    for _ in range(DEEP_PAGE - 1):
        link = client.get(url).get("Link")
        if link is None:
            break
        url = re.match(r"<http://testserver(.*)>", link)[1]  # type: ignore[index]
    return url


def _rare_words() -> list[str]:
    """Words of a few dozen cards each."""
    from benchmarks.list_rows import Fill

    words = Fill(None, 0, []).words
    return [words[n] for n in (20_000, 25_000, 31_000, 42_000)]


if __name__ == "__main__":
    sys.exit(main())
