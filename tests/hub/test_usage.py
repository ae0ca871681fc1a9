"""What the storage report says, by hand-made contents whose sizes are known."""

from __future__ import annotations

import json
from io import BytesIO, StringIO

import pytest
from django.core.management import call_command

from contributions.actions.attachments import keep_attachment
from hub.models import Repo
from hub.usage import logical_bytes, storage_report
from tests.support.cas import CasClient
from tests.support.factories import commit_large, make_repo, make_user, store_blob
from tests.support.xet import make_shard, make_xorb, noise, split, whole_file

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def ada():
    return make_user("ada")


def _send(user, repo, *xorbs):
    cas = CasClient.for_repo(user, repo)
    for xorb in xorbs:
        assert cas.put_xorb(xorb).status_code == 200
    answer = cas.put_shard(make_shard([whole_file(xorb) for xorb in xorbs], xorbs))
    assert answer.status_code == 200, answer.content


def test_report_of_an_empty_site_has_no_ratios():
    report = storage_report()
    assert report.totals.stored_bytes == 0
    assert report.totals.saving_ratio is None
    assert (report.namespaces, report.repos) == ((), ())


def test_content_counts_for_each_repository_and_is_stored_once(ada):
    one, two = make_repo(ada, "one"), make_repo(ada, "two", repo_type="dataset")
    commit_large(one, {"a.bin": b"a" * 1000})
    commit_large(two, {"a.bin": b"a" * 1000, "b.bin": b"b" * 10})
    Repo.objects.filter(pk=one.pk).update(git_bytes=5)

    report = storage_report(top=1)
    assert report.totals.logical_large_bytes == 2010
    assert report.totals.logical_git_bytes == 5
    assert report.distinct_large_bytes == 1010
    assert (report.totals.plain_count, report.totals.plain_bytes) == (2, 1010)
    assert report.totals.saving_ratio == pytest.approx(2010 / 1010)
    assert [(h.name, h.logical_bytes) for h in report.repos] == [("datasets/ada/two", 1010)]
    assert [(h.name, h.logical_bytes) for h in report.namespaces] == [("ada", 2015)]
    assert logical_bytes(ada.namespace) == 2015


def test_compression_is_told_apart_from_sharing(ada):
    repo = make_repo(ada, "one")
    xorb = make_xorb([b"x" * 60_000, b"y" * 60_000], scheme=1)
    _send(ada, repo, xorb)
    totals = storage_report().totals
    assert totals.xorb_bytes == len(xorb.body)
    assert totals.compression_ratio == pytest.approx(120_000 / len(xorb.body))
    assert totals.logical_large_bytes == 120_000


def test_what_no_repository_needs_is_unreferenced(ada):
    repo = make_repo(ada, "one")
    used, idle = make_xorb(split(noise(100_000))), make_xorb(split(noise(70_000, 2)))
    _send(ada, repo, used)
    assert CasClient.for_repo(ada, repo).put_xorb(idle).status_code == 200
    store_blob(None, b"nobody's")
    assert storage_report().unreferenced_bytes == len(idle.body) + len(b"nobody's")


def test_command_prints_a_table_and_json(ada):
    commit_large(make_repo(ada, "one"), {"a.bin": b"a" * 2048})
    table, text = StringIO(), StringIO()
    call_command("storage", "report", stdout=table)
    call_command("storage", "report", "--json", stdout=text)
    assert "2.0 KB  ada/one" in table.getvalue()
    facts = json.loads(text.getvalue())
    assert facts["stored_bytes"] == facts["logical_large_bytes"] == 2048
    assert facts["saving_ratio"] == 1.0
    assert facts["repos"] == [{"name": "ada/one", "logical_bytes": 2048}]


def test_what_lies_beside_the_contents_is_reported_too(ada, settings):
    keep_attachment(BytesIO(PNG), size_bytes=len(PNG), acting_user=ada)
    out = StringIO()
    call_command("storage", "report", stdout=out)
    line = next(
        line for line in out.getvalue().splitlines() if line.startswith("Files of comments")
    )
    assert line.split()[3:] == ["(1)", str(len(PNG)), "bytes"]
    facts = StringIO()
    call_command("storage", "report", "--json", stdout=facts)
    others = {other["label"]: other for other in json.loads(facts.getvalue())["others"]}
    assert others["Files of comments"]["size_bytes"] == len(PNG)
    assert others["Answers of runs"]["count"] == others["Checkpoints of trainings"]["count"] == 0
