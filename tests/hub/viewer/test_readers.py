"""How much of a large file is fetched, and what the process that reads it can reach."""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hub.viewer import readers
from hub.viewer.errors import DataError, ViewerBusy
from hub.viewer.reader import wire
from hub.viewer.reader.jobs import DataFile, Job, Limits
from hub.viewer.reader.parquet import READ_AHEAD_BYTES
from tests.support.data_files import parquet, parquet_of, png
from tests.support.readers import Shelf, rows_of


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 MB of numbers and noise in eight row groups."""
    path = tmp_path_factory.mktemp("large") / "large.parquet"
    rng = np.random.default_rng(3)
    table = pa.table(
        {
            "id": np.arange(1_600_000),
            "x": rng.standard_normal(1_600_000),
            "y": rng.standard_normal(1_600_000),
            "z": rng.standard_normal(1_600_000),
            "t": pa.array(rng.integers(0, 10**12, 1_600_000)).cast(pa.string()),
        }
    )
    pq.write_table(table, path, row_group_size=200_000, compression="none", use_dictionary=False)
    return path


def test_a_refusal_is_sent_to_a_reader_that_ends_as_soon_as_it_has_it() -> None:
    ours, theirs = socket.socketpair()

    class Line:
        """Each piece has been read, and its reader has gone, before the next is sent."""

        def sendall(self, data: bytes) -> None:
            ours.sendall(data)
            theirs.recv(len(data))
            theirs.close()

    with ours:
        wire.send(cast(socket.socket, Line()), wire.REFUSED)


def shelf_of(path: Path) -> Shelf:
    def read(start: int, end: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    return Shelf({path.name: read}, sizes={path.name: path.stat().st_size})


def test_first_page_fetches_the_footer_and_the_head_of_each_column(large: Path) -> None:
    shelf = shelf_of(large)
    answer = shelf.ask("parquet")
    assert [row["id"] for row in rows_of(answer)] == list(range(100))
    assert answer["num_rows_total"] == 1_600_000
    # The tail where the footer lies, and one read-ahead for each of the five columns.
    assert shelf.bytes_read < 8 * 256 * 1024
    assert shelf.bytes_read < large.stat().st_size / 40


def test_page_far_inside_fetches_its_row_group_alone(large: Path) -> None:
    shelf = shelf_of(large)
    answer = shelf.ask("parquet", offset=1_000_000, columns=["id"])
    assert [row["id"] for row in rows_of(answer)] == list(range(1_000_000, 1_000_100))
    assert shelf.bytes_read < 8 * 256 * 1024


def test_filter_fetches_the_columns_it_looks_at_and_then_the_rows_found(large: Path) -> None:
    shelf = shelf_of(large)
    answer = shelf.ask("parquet", where="id >= 1599990", columns=["id"])
    assert answer["num_rows_total"] == 10
    assert shelf.bytes_read < large.stat().st_size / 2


@pytest.mark.parametrize(
    ("where", "order_by", "n_groups"),
    [
        ("id = 1234567", "", 1),
        ("id >= 1599990", "", 1),
        ("id < 10 OR id > 1599990", "", 2),
        ("NOT id < 1599990", "", 1),
        ("id IN (5, 800000)", "", 2),
        ("id IS NULL", "", 0),
        ("id > 5000000", "", 0),
        ("", "id", 1),
        ("", "id DESC", 1),
    ],
)
def test_row_groups_that_cannot_matter_are_not_read(
    large: Path, where: str, order_by: str, n_groups: int
) -> None:
    """Of 1,600,000 rows, those of the row groups whose stated bounds allow a match, and no more."""
    metadata = pq.read_metadata(large)
    column = metadata.schema.names.index("id")
    chunk_bytes = max(
        metadata.row_group(at).column(column).total_compressed_size
        for at in range(metadata.num_row_groups)
    )
    shelf = shelf_of(large)
    shelf.ask("parquet", length=1, columns=["id"])
    opening, shelf.ranges = shelf.bytes_read, []
    answer = shelf.ask("parquet", where=where, order_by=order_by, columns=["id"], length=5)
    assert metadata.num_row_groups >= 8
    # Once to find the rows, and once more from the start of a group to fetch those found.
    assert shelf.bytes_read <= opening + 2 * n_groups * (chunk_bytes + READ_AHEAD_BYTES)
    assert not answer["partial"]
    assert answer["scanned_rows"] == 1_600_000
    ids = np.arange(1_600_000)
    expected = {
        "": ids, "id IS NULL": ids[:0], "id IN (5, 800000)": ids[[5, 800_000]],
        "id < 10 OR id > 1599990": ids[(ids < 10) | (ids > 1_599_990)],
        "id = 1234567": ids[[1_234_567]],
    }.get(where, ids[ids >= (5_000_001 if "5000000" in where else 1_599_990)])  # fmt: skip
    shown = expected[::-1] if order_by.endswith("DESC") else expected
    assert [row["id"] for row in rows_of(answer)] == shown[:5].tolist()
    assert answer["num_rows_total"] == len(expected)


def test_what_is_pruned_never_changes_an_answer() -> None:
    """Small row groups with bounds against the same rows without any: nulls, NaN, texts, labels."""
    rng = np.random.default_rng(0)
    n = 400
    whole = [
        None if at % 7 == 0 else int(v) for at, v in enumerate(np.sort(rng.integers(0, 50, n)))
    ]
    floats = [
        float("nan") if at % 11 == 0 else v for at, v in enumerate(np.sort(rng.normal(size=n)))
    ]
    table = pa.table(
        {
            "i": pa.array(whole, pa.int32()),
            "f": pa.array([*floats[:200], *[None] * 40, *floats[240:]], pa.float32()),
            "s": pa.array([f"word {v:03}" for v in np.sort(rng.integers(0, 90, n))]),
            "b": pa.array([at > 200 for at in range(n)]),
            "u": pa.array(np.arange(n, dtype=np.uint64) + np.uint64(2**63)),
            "d": pa.array(np.arange(n).astype("datetime64[D]"), pa.date32()),
        }
    )
    files = []
    for has_bounds in (True, False):
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=20, write_statistics=has_bounds)
        files.append(Shelf({"a.parquet": sink.getvalue()}))
    wheres = [
        "i = 7", "i <> 7", "NOT i = 7", "i < 3 OR i IS NULL", "NOT (i >= 10 AND f < 0)", "i > 20.5",
        "f <> 0.5", "NOT f < 100", "NOT f <> 0.5", "f > 1", "f IS NULL", "s = 'word 010'",
        "s < 'word 01' AND b = false", "s IN ('word 001', 'nothing')", "NOT b = true",
        "u >= 9.223372036854775e18", "d < '1970-02-01'", "i IS NULL AND i = 3", "s LIKE 'word 00%'",
    ]  # fmt: skip
    for facts in [{"where": where} for where in wheres] + [
        {"order_by": f"{name} {way}", "offset": 3} for name in "ifsd" for way in ("ASC", "DESC")
    ]:
        pruned, read = (shelf.ask("parquet", length=50, **facts) for shelf in files)
        for answer in (pruned, read):
            del answer["scanned_bytes"]
        assert json.dumps(pruned) == json.dumps(read), facts


def test_a_condition_that_does_not_fit_is_refused_though_nothing_would_be_read() -> None:
    shelf = Shelf({"a.parquet": parquet({"n": [1, 2], "s": ["a", "b"]})})
    with pytest.raises(DataError, match="holds text"):
        shelf.ask("parquet", where="n > 5 AND s = 3")


def test_search_says_how_far_it_looked(large: Path) -> None:
    limits = Limits(read_bytes=4_000_000)
    answer = shelf_of(large).ask("parquet", query="zzz", limits=limits)
    assert answer["partial"] is True
    assert 0 < answer["scanned_rows"] < 1_600_000
    assert 4_000_000 <= answer["scanned_bytes"] < 8_000_000
    assert shelf_of(large).ask("parquet", where="x = 0.5", limits=limits)["partial"] is True


def test_rows_found_at_the_end_of_what_was_searched_are_shown(large: Path) -> None:
    """Finding spends the budget; showing what was found has one of its own."""
    limits = Limits(read_bytes=8_000_000)
    for format_, shelf in {
        "parquet": shelf_of(large),
        "csv": Shelf({"a.csv": b"x\n" + b"".join(b"%d\n" % i for i in range(2_000_000))}),
    }.items():
        column = "id" if format_ == "parquet" else "x"
        answer = shelf.ask(
            format_, where=f"{column} >= 0", order_by=f"{column} DESC", limits=limits,
            columns=[column],
        )  # fmt: skip
        assert answer["partial"] is True
        assert [row["row_idx"] for row in answer["rows"][:2]] == [
            answer["scanned_rows"] - 1,
            answer["scanned_rows"] - 2,
        ]


def test_text_files_are_read_only_as_far_as_the_first_page() -> None:
    def rows(start: int, end: int) -> bytes:
        first = start - start % 10
        return (b"12345,789\n" * ((end - first) // 10 + 1))[start - first :][: end - start]

    shelf = Shelf({"a.csv": rows}, sizes={"a.csv": 3_000_000_000})
    answer = shelf.ask("csv")
    assert (len(answer["rows"]), answer["num_rows_total"]) == (100, None)
    assert answer["partial"] is True
    # pyarrow reads up to 32 blocks ahead in a thread of its own, as far as it gets meanwhile.
    assert shelf.bytes_read < 50_000_000
    with pytest.raises(DataError) as caught:
        shelf.ask("csv", offset=200_000_000, limits=Limits(read_bytes=5_000_000))
    assert caught.value.code == "OutOfReach"


def test_bytes_of_pictures_are_not_fetched_to_show_their_rows() -> None:
    picture = png() + np.random.default_rng(1).bytes(200_000)
    columns = {
        "image": [{"bytes": picture, "path": f"{i}.png"} for i in range(100)],
        "n": [1] * 100,
    }
    shelf = Shelf({"p.parquet": parquet_of(columns, {"image": {"_type": "Image"}})})
    assert len(shelf.ask("parquet")["rows"]) == 100
    assert shelf.bytes_read < 1_000_000


def test_rows_over_several_files_are_numbered_through() -> None:
    shelf = Shelf({f"{i}.parquet": parquet({"n": [i * 10, i * 10 + 1]}) for i in range(5)})
    assert [row["n"] for row in rows_of(shelf.ask("parquet", offset=3, length=3))] == [11, 20, 21]
    answer = shelf.ask("parquet", order_by="n DESC", length=2, offset=1)
    assert [row["row_idx"] for row in answer["rows"]] == [8, 7]


def test_reader_that_asks_beyond_a_file_is_cut_off() -> None:
    job = Job("rows", "csv", [DataFile("a.csv", 100)])
    with pytest.raises(DataError) as caught:
        readers.run_job(job, lambda number, start, end: b"short")
    assert caught.value.code == "FileUnavailable"


def test_more_jobs_than_places_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "WAIT_S", 0.05)
    shelf = Shelf({"a.csv": b"x\n1\n"})
    held = [readers._slots.acquire(blocking=False) for _ in range(readers.MAX_AT_ONCE)]
    try:
        with pytest.raises(ViewerBusy):
            shelf.ask("csv")
    finally:
        for _ in filter(None, held):
            readers._slots.release()
    assert shelf.ask("csv")["num_rows_total"] == 1


def test_reader_that_does_not_end_is_ended() -> None:
    """The file is slow on purpose; the kernel ends the reader at its time limit."""

    def slow(start: int, end: int) -> bytes:
        time.sleep(0.6)
        return b"x\n" * ((end - start) // 2)

    shelf = Shelf({"a.csv": slow}, sizes={"a.csv": 100_000_000})
    began = time.monotonic()
    with pytest.raises(DataError) as caught:
        shelf.ask("csv", where="x = 'y'", limits=Limits(wall_s=2, scan_s=60))
    assert caught.value.code == "ReaderStopped"
    assert time.monotonic() - began < 12
    assert Shelf({"a.csv": b"x\n1\n"}).ask("csv")["num_rows_total"] == 1


def test_zygote_that_was_killed_is_started_again() -> None:
    shelf = Shelf({"a.csv": b"x\n1\n"})
    assert shelf.ask("csv")
    assert readers._zygote is not None
    readers._zygote.process.kill()
    readers._zygote.process.wait()
    assert shelf.ask("csv")["num_rows_total"] == 1


def test_caged_reader_reaches_neither_network_nor_files(bubblewrap: str, tmp_path: Path) -> None:
    """The same walls as a reader's, around a program that tries."""
    import subprocess

    secret = tmp_path / "secret"
    secret.write_text("secret")
    code = (
        "import os, socket\n"
        f"print(os.path.exists({str(secret)!r}), os.path.exists('/etc/passwd'),"
        f" os.path.exists({str(Path(readers._SOURCE) / 'config')!r}), sorted(os.environ)[:3])\n"
        "try: socket.create_connection(('127.0.0.1', 1), 1)\n"
        "except OSError as error: print(error.errno)\n"
        "try: open('/usr/x', 'w')\n"
        "except OSError as error: print('read-only')\n"
    )
    (argv,) = readers._caged([sys.executable, "-c", code])
    assert argv[0] == shutil.which("bwrap")
    done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    first, second, third = done.stdout.splitlines()
    assert first.startswith("False False False")
    assert second in {"101", "111"}  # no network, or nobody listens in its own
    assert third == "read-only"


def test_web_side_loads_no_pyarrow_for_the_viewer() -> None:
    import subprocess

    code = (
        "import sys, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings_test'\n"
        "import django; django.setup()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
