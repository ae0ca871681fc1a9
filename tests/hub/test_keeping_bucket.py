"""Collection, scrub and conversion over a bucket: only the URL of the store differs."""

from __future__ import annotations

import urllib.request
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.actions.conversion import convert_repo, drop_plain_copies
from hub.actions.garbage import collect_garbage
from hub.actions.repos import delete_repo
from hub.actions.scrub import scrub_storage
from hub.content import open_content
from hub.errors import ContentDamaged
from hub.models import Blob, Xorb
from hub.site import git_of, store
from hub.xet.content import xorb_key
from hub.xet.hashing import parse_hash
from tests.support.cas import CasClient
from tests.support.factories import commit_large, make_repo, make_user
from tests.support.xet import floats

pytestmark = [pytest.mark.django_db, pytest.mark.services]

DATA = floats(1_500_000)


@pytest.fixture
def bucket(settings):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    call = urllib.request.Request(f"http://{host}:{port}/keeping", method="PUT")
    urllib.request.urlopen(call).close()
    keys = "aws_access_key_id=test&aws_secret_access_key=test&aws_region=us-east-1"
    settings.STORAGE_URL = f"s3://keeping/site?{keys}&aws_endpoint=http://{host}:{port}"
    yield server
    server.stop()


def test_bytes_are_converted_verified_healed_and_freed_in_a_bucket(bucket):
    ada = make_user("ada")
    repo = make_repo(ada, "m")
    commit_large(repo, {"a.bin": DATA})
    assert convert_repo(repo_id=repo.pk) == 1
    Blob.objects.update(converted_at=timezone.now() - timedelta(days=2))
    assert drop_plain_copies() == 1
    [xorb] = Xorb.objects.all()
    key = xorb_key(parse_hash(xorb.hash))
    assert [item.key for item in store().list()] == [key]
    assert _read(repo) == DATA

    stored = store().read(key)
    store().put_bytes(key, stored[:1000] + b"\x00\x01" + stored[1002:])
    assert len(scrub_storage(limit=None).damages) == 1
    assert [item.key for item in store().list()] == [f"quarantine/{key}"]
    with pytest.raises(ContentDamaged):
        _read(repo)
    answer = CasClient.for_repo(ada, repo).put_body(xorb.hash, stored[: xorb.size_bytes])
    assert answer.json() == {"was_inserted": True}
    assert _read(repo) == DATA

    delete_repo(repo=repo, acting_user=ada)
    for days in (29, 58, 87):
        collect_garbage(is_applied=True, now=timezone.now() + timedelta(days=days))
    assert list(store().list()) == []
    assert not Xorb.objects.exists()


def _read(repo) -> bytes:
    return b"".join(open_content(repo, git_of(repo).resolve("main"), "a.bin").stream())
