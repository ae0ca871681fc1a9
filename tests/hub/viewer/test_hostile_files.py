"""Files made to break, stall or flood the viewer: each ends in words, and the next one is read."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hub.viewer.errors import DataError
from hub.viewer.reader.filters import quote_column
from hub.viewer.reader.jobs import Limits
from tests.support.data_files import json_lines, parquet, parquet_of, png, wav
from tests.support.readers import TIGHT, Shelf, rows_of


def refusal(shelf: Shelf, format_: str, verb: str = "rows", **facts: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        shelf.ask(format_, verb, **facts)
    assert Shelf({"a.csv": b"x\n1\n"}).ask("csv")["num_rows_total"] == 1, "the next one is read"
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        b"PAR1" + b"\0" * 100,
        b"PAR1" + b"x" * 40 + struct.pack("<I", 2**31 - 1) + b"PAR1",
        b"PAR1" + b"x" * 40 + struct.pack("<I", 0) + b"PAR1",
        b"PAR1" + b"\xff" * 64 + struct.pack("<I", 60) + b"PAR1",
        parquet({"n": list(range(1000))})[:-20],
    ],
)
def test_parquet_that_is_none_is_refused_in_words(content: bytes) -> None:
    error = refusal(Shelf({"p.parquet": content}), "parquet")
    assert error.code == "BrokenFile"
    assert "p.parquet" in error.message
    assert "Traceback" not in error.message


def test_parquet_with_spoiled_pages_is_refused_in_words() -> None:
    content = bytearray(parquet({"t": [f"text number {i}" for i in range(5000)]}))
    content[4:2000] = b"\xa5" * 1996
    error = refusal(Shelf({"p.parquet": bytes(content)}), "parquet")
    assert error.code in {"BrokenFile", "ReaderStopped", "OutOfMemory"}


def test_pages_that_unpack_to_far_more_than_they_are_end_at_the_memory_limit() -> None:
    """Zeros shrink ten-thousandfold: 50 kB of file claim 480 MB of values."""
    big = pa.array([b"\0" * 120_000_000] * 4, pa.large_binary())
    content = parquet(pa.table({"b": big}), compression="zstd")
    assert len(content) < 2_000_000
    error = refusal(Shelf({"bomb.parquet": content}), "parquet", limits=TIGHT)
    assert error.code in {"OutOfMemory", "ReaderStopped", "BrokenFile"}


def test_dictionary_page_that_unpacks_to_far_more_than_it_is_ends_at_the_limit() -> None:
    words = pa.array(["\0" * 130_000_000, "\1" * 130_000_000, "\2" * 130_000_000])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0]), words)
    content = parquet(pa.table({"d": column}), compression="zstd", use_dictionary=True)
    assert len(content) < 2_000_000
    error = refusal(Shelf({"bomb.parquet": content}), "parquet", limits=TIGHT)
    assert error.code in {"OutOfMemory", "ReaderStopped", "BrokenFile"}


def test_ten_thousand_columns_are_shown_some_at_a_time() -> None:
    content = parquet({f"c{i}": [i, i + 1] for i in range(10_000)})
    answer = Shelf({"wide.parquet": content}).ask("parquet", columns=["c7", "c9999"])
    assert rows_of(answer) == [{"c7": 7, "c9999": 9999}, {"c7": 8, "c9999": 10000}]
    assert len(answer["columns"]) == 10_000


def test_cell_of_a_megabyte_is_cut_and_says_so() -> None:
    answer = Shelf({"p.parquet": parquet({"t": ["x" * 1_000_000, "short"]})}).ask("parquet")
    first, second = answer["rows"]
    assert first["truncated_cells"] == ["t"]
    assert len(first["row"]["t"]) == Limits().cell_chars
    assert (second["row"]["t"], second["truncated_cells"]) == ("short", [])


def test_answer_beyond_its_size_is_refused() -> None:
    limits = dataclasses.replace(Limits(), answer_bytes=20_000)
    content = parquet({f"c{i}": ["some words here"] * 100 for i in range(100)})
    assert refusal(Shelf({"p.parquet": content}), "parquet", limits=limits).code == "AnswerTooLarge"


def test_csv_of_one_endless_line_is_not_read_to_its_end() -> None:
    def line(start: int, end: int) -> bytes:
        return b"a" * (end - start)

    shelf = Shelf({"line.csv": line}, sizes={"line.csv": 200_000_000})
    assert refusal(shelf, "csv").code == "LineTooLong"
    assert shelf.bytes_read < 60_000_000


def test_json_of_one_endless_line_is_not_read_to_its_end() -> None:
    def line(start: int, end: int) -> bytes:
        return (
            (b'{"a": "' + b"a" * (end - start))[: end - start]
            if not start
            else b"a" * (end - start)
        )

    shelf = Shelf({"line.jsonl": line}, sizes={"line.jsonl": 200_000_000})
    assert refusal(shelf, "json").code == "LineTooLong"
    assert shelf.bytes_read < 40_000_000


def test_packed_file_that_never_ends_stops_at_the_time_limit() -> None:
    """200 MB of lines in 200 kB."""
    limits = dataclasses.replace(TIGHT, scan_s=0.2)
    content = gzip.compress(b"x,y\n" * 50_000_000, compresslevel=6)
    answer = Shelf({"a.csv.gz": content}).ask("csv", where="x = 'none'", limits=limits)
    assert answer["partial"] is True
    assert answer["scanned_rows"] > 0


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (b"a,b\n1,2\n3\n", "RaggedRow", "Line 3"),
        (b"a,b\n1,2\n3,4,5\n", "RaggedRow", "3 fields where 2"),
        (b"", "EmptyFile", "empty"),
        (b"a,a\n1,2\n", "ColumnTwice", "“a”"),
    ],
)
def test_csv_that_is_no_table_names_the_line(text: bytes, code: str, says: str) -> None:
    error = refusal(Shelf({"a.csv": text}), "csv")
    assert error.code == code
    assert says in error.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"[1, 2]\n", "NotAnObject"),
        (b"{broken\n", "BrokenFile"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "TooDeep"),
        (b"\xff\xfe{}\n", "BrokenFile"),
    ],
)
def test_json_that_is_no_table_is_refused(text: bytes, code: str) -> None:
    assert refusal(Shelf({"a.jsonl": text}), "json").code == code


def test_json_with_nan_and_values_of_every_kind_is_shown_as_it_is() -> None:
    text = b'{"n": NaN, "m": 1}\n{"n": 2.5, "m": "one"}\n{"n": -Infinity, "m": {"deep": [1]}}\n'
    answer = Shelf({"a.jsonl": text}).ask("json")
    assert rows_of(answer) == [
        {"n": "NaN", "m": "1"},
        {"n": 2.5, "m": "one"},
        {"n": "-Infinity", "m": '{"deep": [1]}'},
    ]


def test_column_that_changes_its_kind_late_is_read_again_as_the_wider_kind() -> None:
    rows: list[dict[str, Any]] = [{"n": i, "t": i} for i in range(5_000)]
    text = json_lines([*rows, {"n": 0.5, "t": "word", "new": True}])
    answer = Shelf({"a.jsonl": text}).ask("json", offset=4_999)
    assert rows_of(answer) == [
        {"n": 4999.0, "t": "4999", "new": None},
        {"n": 0.5, "t": "word", "new": "true"},
    ]


def test_half_characters_and_nul_are_survived() -> None:
    text = b'{"a": "\\ud800 half", "b": "nul \\u0000"}\n'
    (row,) = rows_of(Shelf({"a.jsonl": text}).ask("json"))
    assert row == {"a": "? half", "b": "nul \0"}


NAMES = ['say "hi"', "line\nbreak", "it's", "a.b", "a", "<b>", " space ", "'; DROP TABLE x; --"]


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_any_name_can_be_asked_for(name: str) -> None:
    content = parquet({each: [1, 2, 3] for each in NAMES})
    shelf = Shelf({"p.parquet": content})
    where = f"{quote_column(name)} > 1"
    answer = shelf.ask("parquet", where=where, order_by=f"{quote_column(name)} DESC")
    assert [row[name] for row in rows_of(answer)] == [3, 2]


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1",
        "n = 1; DROP TABLE hub_repo",
        "n = 1 UNION SELECT * FROM hub_user",
        "n = (SELECT 1)",
        "read_csv('/etc/passwd') = 1",
        "n = n",
        "'n' = 1",
        '"n" = "n"',
        "n = 1 --",
        "n = __import__('os')",
        "t LIKE 5",
        "n = 9999999999999999999999",
        "(" * 200 + "n = 1" + ")" * 200,
        " AND ".join(["n = 1"] * 150),
        "n = 1 OR " * 1000,
        "NOT " * 500 + "n = 1",
        "t = 'open",
        "n IN ()",
        "\0",
    ],
)
def test_conditions_that_try_to_break_out_are_refused_as_conditions(where: str) -> None:
    shelf = Shelf({"p.parquet": parquet({"n": [1], "t": ["x"]})})
    assert refusal(shelf, "parquet", where=where).code in {"BadFilter", "ColumnNotFound"}


def test_patterns_match_in_linear_time() -> None:
    """A pattern that backtracking engines need ages for."""
    content = parquet({"t": ["a" * 40_000] * 20})
    answer = Shelf({"p.parquet": content}).ask("parquet", where=f"t LIKE '{'%a' * 200}b'")
    assert answer["num_rows_total"] == 0


def test_pictures_of_no_bytes_or_giant_size_are_not_shown() -> None:
    giant = png(claims=(100_000, 100_000))
    folder = {"a.png": b"", "b.png": giant, "c.png": b"\x89PNG\r\n\x1a\n", "d.png": png(3, 3)}
    cells = [row["image"] for row in rows_of(Shelf(folder).ask("imagefolder"))]
    assert [cell["problem"] for cell in cells] == ["empty", "too_large", "unknown", None]
    column = [{"bytes": content, "path": None} for content in folder.values()]
    content = parquet_of({"image": column}, {"image": {"_type": "Image"}})
    answer = Shelf({"p.parquet": content}).answer("parquet", "media", column="image")
    items = answer.value["items"]
    assert [item["problem"] for item in items] == ["empty", "too_large", "unknown", None]
    assert answer.tail == png(3, 3)


def test_script_dressed_as_a_picture_is_no_picture() -> None:
    scripts = [b"<svg onload='alert(1)'/>", b"<html>", b"GIF89a", b"%PDF-1.4", b"\xff\xd8\xff"]
    column = [{"bytes": script, "path": "x.svg"} for script in scripts]
    content = parquet_of({"image": column}, {"image": {"_type": "Image"}})
    answer = Shelf({"p.parquet": content}).answer("parquet", "media", column="image")
    kinds = [item["content_type"] for item in answer.value["items"]]
    assert kinds == [None, None, None, None, "image/jpeg"]


def test_sound_of_no_length_is_a_sound() -> None:
    (row,) = rows_of(Shelf({"a.wav": wav(0)}).ask("audiofolder"))
    assert row["audio"]["content_type"] == "audio/wav"


def test_statistics_of_empty_and_odd_columns_are_given() -> None:
    table = pa.table(
        {
            "none": pa.array([None, None], pa.int64()),
            "same": [5, 5],
            "nan": [float("nan"), float("inf")],
            "huge": [-(2**63), 2**63 - 1],
            "float": [-1.7e308, 1.7e308],
            "when": pa.array([0, 86_400_000_000], pa.timestamp("us")),
            "lists": [[1], [1, 2, 3]],
            "bytes": [b"x", None],
        }
    )
    answer = Shelf({"p.parquet": parquet(table)}).ask("parquet", "statistics")
    facts = {each["column_name"]: each["column_statistics"] for each in answer["statistics"]}
    assert json.dumps(facts, allow_nan=False)
    assert facts["none"] == {
        "nan_count": 2, "nan_proportion": 1.0, "histogram": None,
        "min": None, "max": None, "mean": None, "median": None, "std": None,
    }  # fmt: skip
    assert facts["same"]["histogram"] == {"hist": [2], "bin_edges": [5, 5]}
    assert facts["nan"]["nan_count"] == 1
    assert facts["when"]["max"] == "1970-01-02 00:00:00"
    assert (facts["lists"]["min"], facts["lists"]["max"]) == (1, 3)
    no_rows = Shelf({"p.parquet": parquet(table.slice(0, 0))}).ask("parquet", "statistics")
    assert no_rows["num_examples"] == 0


def test_files_of_other_columns_in_one_split_are_named() -> None:
    shelf = Shelf({"1.parquet": parquet({"a": [1]}), "2.parquet": parquet({"b": [1]})})
    error = refusal(shelf, "parquet")
    assert error.code == "ColumnsDiffer"
    assert "2.parquet" in error.message


def test_random_bytes_of_any_format_end_in_words() -> None:
    rng = np.random.default_rng(7)
    for format_ in ("parquet", "csv", "tsv", "json", "text", "imagefolder", "audiofolder"):
        for _ in range(5):
            shelf = Shelf({f"a.{format_}": rng.bytes(5_000)})
            for verb in ("rows", "statistics"):
                with contextlib.suppress(DataError):
                    shelf.ask(format_, verb, limits=TIGHT)
