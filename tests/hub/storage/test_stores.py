"""One contract for every kind of store: what holds for a local folder holds for a bucket."""

import os
import subprocess
import threading
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.storage import KeyMissing, StorageError, StorageFull, StorageUnavailable, Store
from hub.storage.errors import InvalidKey

KEY = "lfs/ab/cd/" + "ef" * 32


@pytest.fixture(scope="session")
def s3_endpoint():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_endpoint, request, tmp_path):
    bucket = f"b{abs(hash(str(tmp_path)))}"
    call = urllib.request.Request(f"{s3_endpoint}/{bucket}", method="PUT")
    urllib.request.urlopen(call).close()
    keys = "aws_access_key_id=test&aws_secret_access_key=test&aws_region=us-east-1"
    return f"s3://{bucket}/some/prefix?{keys}&aws_endpoint={s3_endpoint}"


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.services)])
def store(request, tmp_path):
    if request.param == "folder":
        return Store(f"file://{tmp_path}/a store", staging_dir=tmp_path / "tmp")
    if request.param == "memory":
        return Store("memory:///", staging_dir=tmp_path / "tmp")
    return Store(request.getfixturevalue("s3_url"), staging_dir=tmp_path / "tmp")


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * 100)
    return path


def test_missing_key_is_named_by_every_reader(store):
    assert not store.exists(KEY)
    for read in (store.size, store.read, store.stream, lambda key: store.read_range(key, 0, 1)):
        with pytest.raises(KeyMissing) as caught:
            read(KEY)
        assert caught.value.details == {"key": KEY}


def test_bytes_come_back(store):
    store.put_bytes(KEY, b"hello")
    assert store.exists(KEY)
    assert store.size(KEY) == 5
    assert store.read(KEY) == b"hello"


def test_empty_content_is_content(store):
    store.put_bytes(KEY, b"")
    assert store.exists(KEY)
    assert store.size(KEY) == 0
    assert store.read(KEY) == b""
    assert store.read_range(KEY, 0, 10) == b""


def test_put_replaces_the_whole(store, source):
    store.put_bytes(KEY, b"x" * 100_000)
    store.put_file(KEY, source)
    assert store.size(KEY) == 25_600
    store.put_bytes(KEY, b"short")
    assert store.read(KEY) == b"short"


def test_of_several_writers_the_first_wins(store, source):
    data = source.read_bytes()
    assert store.put_new_file(KEY, source) is True
    assert not source.exists()
    source.write_bytes(b"too late")
    assert store.put_new_file(KEY, source) is False
    assert not source.exists()
    assert store.read(KEY) == data
    assert [item.key for item in store.list()] == [KEY]


def test_consumed_file_is_gone_and_a_kept_one_is_not(store, source):
    data = source.read_bytes()
    store.put_file(KEY, source, consume=False)
    assert source.read_bytes() == data
    source.write_bytes(b"changed afterwards")
    assert store.read(KEY) == data
    store.put_file(KEY + "x", source, consume=True)
    assert not source.exists()
    assert store.read(KEY + "x") == b"changed afterwards"


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 1), (5, 5), (3, 300), (25_599, 25_600), (25_590, 99_999)]
)
def test_range_is_what_a_slice_would_be(store, source, start, end):
    data = source.read_bytes()
    store.put_file(KEY, source)
    assert store.read_range(KEY, start, end) == data[start:end]


def test_range_past_the_end_is_empty(store):
    store.put_bytes(KEY, b"hello")
    assert store.read_range(KEY, 5, 6) == b""
    assert store.read_range(KEY, 100, 200) == b""
    assert b"".join(store.stream(KEY, 100)) == b""


def test_stream_from_the_middle_goes_to_the_end(store, source):
    data = source.read_bytes()
    store.put_file(KEY, source)
    chunks = list(store.stream(KEY, 1000, chunk_size=1000))
    assert b"".join(chunks) == data[1000:]
    assert all(isinstance(chunk, bytes) for chunk in chunks)


def test_stream_may_be_left_early(store, source):
    store.put_file(KEY, source)
    stream = store.stream(KEY, chunk_size=100)
    assert next(iter(stream)).startswith(b"\0\1\2")
    close = getattr(stream, "close", None)
    if close:
        close()
    store.delete(KEY)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4)])
def test_backward_range_is_a_fault_of_the_caller(store, start, end):
    with pytest.raises(ValueError, match="range"):
        store.stream(KEY, start, end)


def test_moved_content_is_found_under_its_new_key_alone(store):
    store.put_bytes(KEY, b"hello")
    store.put_bytes(f"quarantine/{KEY}", b"what lay there before")
    store.move(KEY, f"quarantine/{KEY}")
    assert not store.exists(KEY)
    assert store.read(f"quarantine/{KEY}") == b"hello"
    with pytest.raises(KeyMissing):
        store.move(KEY, "elsewhere")
    assert not store.exists("elsewhere")


def test_deleted_content_is_gone_and_may_be_deleted_again(store):
    store.put_bytes(KEY, b"x")
    store.delete(KEY)
    store.delete(KEY)
    assert not store.exists(KEY)


def test_list_takes_the_prefix_as_a_folder(store):
    for key in ("a/1", "a/b/2", "ab/3", "c"):
        store.put_bytes(key, key.encode())
    assert sorted(item.key for item in store.list()) == ["a/1", "a/b/2", "ab/3", "c"]
    assert sorted(item.key for item in store.list("a")) == ["a/1", "a/b/2"]
    assert sorted(item.key for item in store.list("a/")) == ["a/1", "a/b/2"]
    assert list(store.list("nothing/here")) == []
    (item,) = store.list("ab")
    assert item.size_bytes == 4
    assert abs(item.last_modified - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    "key",
    ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", ".", ".hidden", "a/.part-x",
     "a\\b", "a b", "a\0b", "é", "a\n", "a?b", "x" * 600],
)  # fmt: skip
def test_hostile_key_is_refused_everywhere(store, source, key):
    calls = (
        store.exists,
        store.read,
        store.delete,
        store.local_path,
        lambda k: store.put_bytes(k, b"x"),
        lambda k: store.put_file(k, source),
        lambda k: store.signed_url(k, expires_s=60),
    )
    for call in calls:
        with pytest.raises(InvalidKey):
            call(key)
    assert source.exists()
    assert list(store.list()) == []


def test_readers_see_old_or_new_but_never_a_mixture(store):
    versions = [bytes([number]) * 300_000 for number in range(8)]
    store.put_bytes(KEY, versions[0])
    seen: list[bytes] = []
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.append(store.read(KEY))

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions[1:]:
        store.put_bytes(KEY, version)
    done.set()
    reader.join()
    assert set(seen) <= set(versions)


@pytest.mark.services
def test_signed_url_of_a_bucket_gives_the_bytes_to_anyone(s3_url, tmp_path):
    store = Store(s3_url, staging_dir=tmp_path)
    store.put_bytes(KEY, b"hello")
    url = store.signed_url(KEY, expires_s=60)
    assert url is not None
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"
    assert store.local_path(KEY) is None


@pytest.mark.services
def test_large_file_goes_to_a_bucket_in_parts(s3_url, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1 << 20) * 40)
    data = path.read_bytes()
    store = Store(s3_url, staging_dir=tmp_path)
    store.put_file(KEY, path)
    assert store.size(KEY) == len(data)
    assert store.read_range(KEY, 20_000_000, 20_000_100) == data[20_000_000:20_000_100]


def test_unreachable_bucket_is_unavailable(tmp_path):
    keys = "aws_access_key_id=t&aws_secret_access_key=t&aws_region=us-east-1"
    store = Store(f"s3://b/p?{keys}&aws_endpoint=http://127.0.0.1:9", staging_dir=tmp_path)
    with pytest.raises(StorageUnavailable):
        store.put_bytes(KEY, b"x")


def test_local_content_is_a_plain_file(tmp_path, source):
    store = Store(f"file://{tmp_path}/store", staging_dir=tmp_path)
    store.put_file(KEY, source)
    path = store.local_path(KEY)
    assert path == tmp_path / "store" / KEY
    assert oct(path.stat().st_mode & 0o777) == "0o644"
    assert store.signed_url(KEY, expires_s=60) is None
    with pytest.raises(KeyMissing):
        store.local_path("nothing")


def test_folder_in_the_way_is_no_content(tmp_path):
    store = Store(f"file://{tmp_path}/store", staging_dir=tmp_path)
    store.put_bytes("a/b", b"x")
    with pytest.raises(KeyMissing):
        store.read("a")
    with pytest.raises(KeyMissing):
        store.size("a/b/c")
    store.delete("a/b/c")
    assert store.read("a/b") == b"x"


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_named_and_leaves_nothing_behind(small_disk, tmp_path):
    store = Store(f"file://{small_disk}/store", staging_dir=tmp_path)
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2_000_000)
    for put in (
        lambda: store.put_bytes(KEY, b"x" * 2_000_000),
        lambda: store.put_file(KEY, big),
        lambda: store.put_file(KEY, big, consume=False),
    ):
        with pytest.raises(StorageFull):
            put()
    assert big.exists()
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    store.put_bytes(KEY, b"fits")
    assert store.read(KEY) == b"fits"


def test_file_moves_across_file_systems(small_disk, tmp_path, source):
    store = Store(f"file://{small_disk}/store", staging_dir=tmp_path)
    store.put_file(KEY, source)
    assert not source.exists()
    assert store.size(KEY) == 25_600


def test_all_faults_are_one_family():
    assert issubclass(StorageFull, StorageError)
    assert issubclass(KeyMissing, StorageError)
