"""Data in: what is read, what it is read as, and what is refused, in one line each."""

import gzip
import io
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unstuck.tabular.tables import BOOLEAN, DATE, NUMBER, TEXT, Table, TableError, image, read, write


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def columns(table: Table, size: int = 1000) -> dict[str, list[Any]]:
    return pa.Table.from_batches(table.batches(size), schema=table.schema).to_pydict()


def refusal(what: Any, size: int = 1000, **options: Any) -> str:
    with pytest.raises(TableError) as caught:
        columns(read(what, **options), size)
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()
    return text


class TestText:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_any_delimiter(self, delimiter: str, end: str, tmp_path: Path) -> None:
        rows = [("size", "kind", "share"), ("1", "a b", "0.5"), ("2", "c", "1e-3"), ("-3", "d", ".25")]
        path = put(tmp_path, "t.csv", end.join(delimiter.join(row) for row in rows) + end)
        table = read(path)
        assert dict(table.columns) == {"size": NUMBER, "kind": TEXT, "share": NUMBER}
        assert columns(table) == {"size": [1, 2, -3], "kind": ["a b", "c", "d"], "share": [0.5, 0.001, 0.25]}

    def test_decimal_comma(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "a;b;c\n1,5;2,5;3,5\n-0,25;7;8\n")
        assert columns(read(path)) == {"a": [1.5, -0.25], "b": [2.5, 7], "c": [3.5, 8]}
        assert "decimal ," in read(path).notes[0]

    def test_override_detected_dialect(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "a\n1,5\n2,5\n")
        assert columns(read(path, decimal=",")) == {"a": [1.5, 2.5]}
        path = put(tmp_path, "u.csv", "1;2\n3;4\n")
        assert list(read(path, header=True).columns) == ["1", "2"]
        assert columns(read(path, header=False)) == {"column 1": [1, 3], "column 2": [2, 4]}
        assert list(read(path, delimiter=",", header=True).columns) == ["1;2"]

    @pytest.mark.parametrize(
        ("written", "read_as"),
        [
            ('a,b\n"1,234",2\n"12,345,678.5",3\n17,4\n', [1234, 12345678.5, 17]),
            ("a;b\n1.234,5;2\n12.345.678;3\n17;4\n", [1234.5, 12345678, 17]),
            ("a;b\n1 234.5;2\n12 345;3\n17;4\n", [1234.5, 12345, 17]),
        ],
    )
    def test_thousands(self, written: str, read_as: list[float], tmp_path: Path) -> None:
        table = read(put(tmp_path, "t.csv", written))
        assert table.columns["a"] == NUMBER
        assert columns(table)["a"] == read_as

    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
    )
    def test_encodings(self, encoding: str, tmp_path: Path) -> None:
        text = "größe,name\n1,Zoë\n2,François\n3,Ñu\n"
        assert columns(read(put(tmp_path, "t.csv", text.encode(encoding)))) == {
            "größe": [1, 2, 3],
            "name": ["Zoë", "François", "Ñu"],
        }

    @pytest.mark.parametrize("word", ["", "NA", "NaN", "nan", "null", "NULL", "?", "-", "N/A", "None", "#N/A"])
    def test_words_for_missing_values(self, word: str, tmp_path: Path) -> None:
        path = put(
            tmp_path, "t.csv", f"a,b,c,d\n1,x,2020-01-01,true\n{word},{word},{word},{word}\n3,y,2020-01-03,false\n"
        )
        table = read(path)
        assert [str(kind) for kind in table.columns.values()] == ["number", "text", "date", "boolean"]
        got = columns(table)
        assert (got["a"], got["d"]) == ([1, None, 3], [1, None, 0])
        assert got["c"] == [18262, None, 18264]
        assert got["b"] == ["x", None, "y"]  # a word that means missing among numbers means it among texts

    @pytest.mark.parametrize("word", ["NA", "None", "-"])
    def test_words_of_a_table_without_gaps_in_numbers_stay(self, word: str, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", f"a,b\n1,x\n2,{word}\n3,y\n")
        assert columns(read(path))["b"] == ["x", word, "y"]
        assert columns(read(path, missing=[word]))["b"] == ["x", None, "y"]

    def test_quoting(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", 'a,b\n1,"x, ""y""\nz"\n2,"5 o\'clock"\n')
        assert columns(read(path)) == {"a": [1, 2], "b": ['x, "y"\nz', "5 o'clock"]}
        path = put(tmp_path, "u.csv", "a,b\n1,'x, y'\n2,'z'\n3,'w'\n")
        assert columns(read(path))["b"] == ["x, y", "z", "w"]

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("1,2,x\n3,4,y\n", ["column 1", "column 2", "column 3"]),
            ("x,y\na,b\nc,d\n", ["x", "y"]),
            ("red,5\nblue,6\n", ["column 1", "column 2"]),
            ("name,2019,2020\n7,1,2\n", ["name", "2019", "2020"]),
            ("0,1,2\n5.5,6.5,7\n", ["0", "1", "2"]),
            (",a,b\n0,x,1\n1,y,2\n", ["column 1", "a", "b"]),
            ("red,round\nred,flat\n", ["column 1", "column 2"]),
            ("?,1\n2,3\n", ["column 1", "column 2"]),
        ],
    )
    def test_names_or_none(self, text: str, names: list[str], tmp_path: Path) -> None:
        assert list(read(put(tmp_path, "t.csv", text)).columns) == names

    def test_dates(self, tmp_path: Path) -> None:
        text = "a,b,c,d\n2024-02-29,1969-12-31 12:00,31.12.2024,2024-01-01T00:00:00Z\n"
        text += "1970-01-02,1970-01-01 06:00:00.5,01.02.1970,"
        table = read(put(tmp_path, "t.csv", text))
        assert set(table.columns.values()) == {DATE}
        days = (date(2024, 2, 29) - date(1970, 1, 1)).days
        assert columns(table) == {
            "a": [days, 1],
            "b": [-0.5, 0.25 + 0.5 / 86400],
            "c": [(date(2024, 12, 31) - date(1970, 1, 1)).days, 31],
            "d": [19723, None],
        }

    def test_times_alone(self, tmp_path: Path) -> None:
        table = read(put(tmp_path, "t.csv", "a,b\n06:00,1\n18:30:00,2\n"))
        assert (table.columns["a"], columns(table)["a"]) == (DATE, [0.25, 18.5 / 24])

    def test_an_open_quotation_mark_that_swallows_rows(self, tmp_path: Path) -> None:
        rows = [f"{i},w{i},{i}\n" for i in range(30)]
        rows[4], rows[20] = '4,"w,4\n', '20,"w20,4\n'
        path = put(tmp_path, "t.csv", "a,b,c\n" + "".join(rows))
        assert "row 6, column 'b': a quotation mark opens here and spans several rows" in refusal(path)

    def test_booleans_are_0_and_1_and_yes_stays_yes(self, tmp_path: Path) -> None:
        table = read(put(tmp_path, "t.csv", "a,b\ntrue,yes\nFalse,no\nTRUE,yes\n"))
        assert dict(table.columns) == {"a": BOOLEAN, "b": TEXT}
        assert columns(table) == {"a": [1, 0, 1], "b": ["yes", "no", "yes"]}

    def test_nothing_in_a_column(self, tmp_path: Path) -> None:
        table = read(put(tmp_path, "t.csv", "a,b,c\n1,,NA\n2,,?\n"))
        assert columns(table) == {"a": [1, 2], "b": [None, None], "c": [None, None]}

    def test_long_names_stay_themselves(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "id,x\n12345678901234567,1\n12345678901234568,2\n")
        table = read(path)
        assert columns(table)["id"] == ["12345678901234567", "12345678901234568"]
        assert any("id" in note for note in table.notes)
        late = put(tmp_path, "u.csv", "id,x\n" + "1,1\n" * 300_000 + "12345678901234567,2\n")
        assert "row 300,002, column 'id': the whole number exceeds 2^53" in refusal(late)
        assert columns(read(late, kinds={"id": "text"}))["id"][-1] == "12345678901234567"

    def test_numbers_above_and_text_far_below(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "a,b\n" + "1.5,2\n" * 400_000 + "oops,2\n" + "1,2\n")
        table = read(path)
        assert columns(table)["a"][-3:] == [1.5, None, 1]
        assert table.notes[1] == "column 'a': one cell read as missing; it, in row 400,002: 'oops' is not a number"
        assert columns(read(path).drop(["a"]))["b"] == [2] * 400_002
        assert columns(read(path).read_as({"a": "text"}))["a"][-2:] == ["oops", "1"]
        path = put(tmp_path, "u.csv", "a,b\n" + "1.5,2\n" * 400_000 + "oops,2\n" * 5000)
        assert refusal(path).startswith(f"{path}: row 400,002, column 'a': 'oops' is not a number")

    @pytest.mark.parametrize("bad", [1, 2])
    def test_one_bad_cell_in_two_hundred_is_missing_and_two_are_refused(self, bad: int, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "a,b\n" + "1.5,2\n" * (200 - bad) + "1.5x,2\n" * bad)
        table = read(path)
        assert table.columns["a"] == NUMBER
        if bad == 1:
            assert columns(table)["a"] == [1.5] * 199 + [None]
            assert "'1.5x' is not a number" in table.notes[1]
        else:
            assert "row 200, column 'a': '1.5x' is not a number: fix it, or use --missing WORD" in refusal(path)

    def test_compressed(self, tmp_path: Path) -> None:
        packed = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
        assert columns(read(put(tmp_path, "t.csv.gz", packed)))["a"] == [1] * 1000
        assert "runcated" in refusal(put(tmp_path, "u.csv.gz", packed[:-12]))

    def test_many_columns(self, tmp_path: Path) -> None:
        width = 5000
        text = ",".join(f"c{i}" for i in range(width)) + "\n" + (",".join(["1.5"] * width) + "\n") * 3
        table = read(put(tmp_path, "t.csv", text))
        assert len(table.columns) == width
        assert sum(batch.num_rows for batch in table.batches()) == 3

    def test_long_cells(self, tmp_path: Path) -> None:
        long = "x" * 3_000_000
        assert columns(read(put(tmp_path, "t.csv", f"a,b\n1,{long}\n2,y\n")))["b"] == [long, "y"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("", "is empty"),
            ("\n\n  \n", "is empty"),
            ("a,b\n", "has a header but no rows"),
            ("a,b\n1,2\n3\n4,5\n", "row 3: expected 2 fields, found 1"),
            ("a,b\n1,2\n\n3,4,5\n", "row 3: expected 2 fields, found 3"),
            ('a,b\n1,x\n2,"y\n3,z\n', "row 3, column 'b': a quotation mark opens here and is never closed"),
            ("a,b\n1,x\x00y\n2,z\n", "contains NUL bytes"),
            ("a,b\n1,größe\n2,schön\n".encode() + b"3,\xff\xfe\n", "row 4: invalid UTF-8"),
            (b"\x00\x01\x02\x03" * 50, ""),
            (bytes(range(128, 256)) + bytes(range(1, 32)), "neither text nor a supported format"),
            (b"PK\x03\x04" + b"\x00" * 50, "cannot be read: File is not a zip file"),
        ],
    )
    def test_what_is_refused(self, content: str | bytes, told: str, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", content)
        assert told in refusal(path)
        assert refusal(path).startswith(str(path))

    def test_bytes_that_are_no_text_far_below(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", b"a,b\n" + b"1,x\n" * 300_000 + b"2,\xff\n")
        assert "row 300,002, column 'b': the value is not valid UTF-8" in refusal(path)

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"delimiter": ",,"}, "the delimiter must be one character"),
            ({"delimiter": "\n"}, "the delimiter must be one character"),
            ({"decimal": "x"}, "the decimal mark must be"),
            ({"decimal": ",", "delimiter": ","}, "cannot be both"),
            ({"encoding": "klingon"}, "unknown encoding 'klingon'"),
            ({"kinds": {"b": "number"}}, "no column 'b'"),
            ({"kinds": {"alpha": "colour"}}, "unknown kind 'colour'"),
            ({"kinds": {"alpah": "text"}}, "did you mean 'alpha'?"),
            ({"split": "test"}, "only a folder has a split 'test'"),
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, Any], told: str, tmp_path: Path) -> None:
        assert told in refusal(put(tmp_path, "t.csv", "alpha\n1\n"), **options)


class TestTable:
    def test_batches_have_their_size_and_come_again(self, tmp_path: Path) -> None:
        table = read(put(tmp_path, "t.csv", "a\n" + "".join(f"{i}\n" for i in range(1000))))
        sizes = [batch.num_rows for batch in table.batches(300)]
        assert sizes == [300, 300, 300, 100]
        assert columns(table, 7) == columns(table, 300) == {"a": list(range(1000))}
        with pytest.raises(TableError, match="a batch cannot have 0 rows"):
            table.batches(0)

    def test_select_and_drop(self) -> None:
        table = read({"a": [1, 2], "b": ["x", "y"], "c": [True, False]})
        assert columns(table.select(["c", "a"])) == {"c": [1, 0], "a": [1, 2]}
        assert list(table.drop("b").columns) == ["a", "c"]
        for face in (table.select, table.drop):
            with pytest.raises(TableError, match="no column 'd'"):
                face(["d"])
        assert list(table.columns) == ["a", "b", "c"]

    def test_select_and_drop_in_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        for last in ("1", "u"):
            path.write_text(f"a,b,c\n1,x,{last}\n2,y,{last}\n")
            assert columns(read(path).select(["b", "a"])) == {"b": ["x", "y"], "a": [1, 2]}
        path.write_text('a,b,c\n1,x,u\n2,y,"v\n3,z,w\n')
        assert "never closed" in refusal(path)
        with pytest.raises(TableError, match="row 3, column 'c'"):  # although the column is not asked for
            columns(read(path).select(["a"]))

    def test_override_kinds(self) -> None:
        table = read({"a": ["1", " 2.5 ", "NA"], "b": [0, 1, 1], "c": ["true", "?", "False"], "d": [7.0, 8.5, None]})
        table = table.read_as({"a": "number", "b": "boolean", "c": "boolean", "d": TEXT})
        assert columns(table) == {"a": [1, 2.5, None], "b": [0, 1, 1], "c": [1, None, 0], "d": ["7", "8.5", None]}
        with pytest.raises(TableError, match="row 2, column 'a': 'x' is not a number"):
            columns(read({"a": ["1", "x"]}, kinds={"a": "number"}))
        with pytest.raises(TableError, match="row 3, column 'b': 2 is neither true nor false"):
            columns(read({"b": [0, 1, 2]}, kinds={"b": "boolean"}))

    def test_memory_stays_bounded(self, tmp_path: Path) -> None:
        # a child process, because only a whole process knows its greatest size
        path = put(tmp_path, "t.csv", b"a,b,c\n" + b"1.2345678,some text or other,2.3456789\n" * 1_500_000)
        program = (
            "import resource, sys; import pyarrow, pyarrow.csv, pyarrow.compute\n"
            "from unstuck.tabular.tables import read\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
            "before = peak(); n = sum(b.num_rows for b in read(sys.argv[1]).batches(4096)); print(n, peak() - before)"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        rows, grown = map(int, done.stdout.split())
        assert rows == 1_500_000
        assert grown < path.stat().st_size / 2**20

    def test_a_table_of_numbers_is_read_with_little_imported(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "a,b\n1,2.5\n")
        program = (
            "import sys; from unstuck.tabular.tables import read\n"
            "assert [b.num_rows for b in read(sys.argv[1]).batches()] == [1]\n"
            "print(sorted({'torch', 'pandas', 'PIL', 'pyarrow.compute', 'pyarrow.parquet'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


SAMPLE = {
    "n": [1, 2, None],
    "x": [0.5, float("nan"), 2.5],
    "t": ["a", None, "c"],
    "b": [True, None, False],
    "d": [date(2024, 1, 1), None, date(1970, 1, 2)],
    "s": [datetime(1970, 1, 1, 12), None, datetime(1970, 1, 3)],
    "p": [timedelta(hours=36), None, timedelta(0)],
}
DELIVERED = {
    "n": [1, 2, None],
    "x": [0.5, None, 2.5],
    "t": ["a", None, "c"],
    "b": [1, None, 0],
    "d": [19723, None, 1],
    "s": [0.5, None, 2],
    "p": [1.5, None, 0],
}


class TestTyped:
    @pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
    def test_files(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"t.{suffix}"
        table = pa.table(SAMPLE)
        if suffix == "parquet":
            pq.write_table(table, path)
        else:
            new = pa.ipc.new_file if suffix == "arrow" else pa.ipc.new_stream
            with new(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=2)
        read_table = read(path)
        assert [str(k) for k in read_table.columns.values()] == [
            "number",
            "number",
            "text",
            "boolean",
            "date",
            "date",
            "number",
        ]
        assert columns(read_table) == DELIVERED
        assert columns(read_table.select(["t", "n"])) == {k: DELIVERED[k] for k in ("t", "n")}
        assert read_table.rows == (3 if suffix == "parquet" else None)

    @pytest.mark.parametrize(
        "frame", [pd.DataFrame, pl.DataFrame, pa.table, dict], ids=["pandas", "polars", "arrow", "dict"]
    )
    def test_in_memory(self, frame: Any) -> None:
        table = read(frame(SAMPLE))
        assert columns(table) == columns(table) == DELIVERED
        assert table.rows == 3

    def test_categories_of_polars(self) -> None:
        frame = pl.DataFrame({"a": pl.Series(["x", None, "y"], dtype=pl.Categorical)})
        assert columns(read(frame)) == {"a": ["x", None, "y"]}

    def test_arrays(self) -> None:
        table = read({"a": np.arange(3, dtype=np.int16), "b": np.array(["x", "y", "z"]), "c": np.ones(3, bool)})
        assert columns(table) == {"a": [0, 1, 2], "b": ["x", "y", "z"], "c": [1, 1, 1]}
        categories = pd.DataFrame({"a": pd.Categorical(["x", "y", "x"]), 7: [1.0, 2.0, 3.0]}, index=[9, 8, 7])
        assert columns(read(categories)) == {"a": ["x", "y", "x"], "7": [1, 2, 3]}

    def test_a_stream_is_kept_to_be_read_again(self) -> None:
        batches = pa.table({"a": [1, 2]}).to_batches()
        table = read(pa.RecordBatchReader.from_batches(batches[0].schema, batches))
        assert columns(table) == columns(table) == {"a": [1, 2]}

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            ({"a": [1, 2], "b": [1]}, "columns differ in length"),
            ({"a": np.ones((2, 2))}, "column 'a': has 2 dimensions"),
            ({}, "has no columns"),
            ({"a": []}, "has columns but no rows"),
            ({"a": [[1, 2], [3]]}, "column 'a': list<item: int64> cannot be trained on"),
            ({"a": [0] * 300 + [2**60]}, "row 301, column 'a': 1152921504606846976 exceeds 2^53"),
            (7, "int is not a table"),
            (np.ones((2, 2)), "ndarray is not a table"),
        ],
    )
    def test_what_is_refused(self, data: Any, told: str) -> None:
        assert told in refusal(data)

    def test_lists_can_be_left_out(self) -> None:
        table = read({"a": [[1, 2], [3]], "b": [1, 2]})
        assert str(table.columns["a"]) == "other"
        assert columns(table.drop("a")) == {"b": [1, 2]}

    def test_long_names_stay_themselves(self) -> None:
        assert columns(read({"id": [2**60, 2**60 + 1]})) == {"id": [str(2**60), str(2**60 + 1)]}

    @pytest.mark.parametrize("suffix", ["parquet", "arrow"])
    def test_cut_short(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"t.{suffix}"
        write(path, {"a": np.arange(1000.0)})
        whole = path.read_bytes()
        for length in (0, 3, 8, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            assert refusal(path).startswith(f"{path}: ")
        path.write_bytes(b"a,b\n1,2\n")
        assert f"is not a valid {suffix} file" in refusal(path)


class TestPlaces:
    def test_a_folder_and_a_glob_and_several(self, tmp_path: Path) -> None:
        for i in range(3):
            put(tmp_path, f"p{i}.csv", f"a,b\n{i},x\n")
        put(tmp_path, "notes.md", "not data")
        put(tmp_path, "readme.txt", "not data either")
        for what in (tmp_path, str(tmp_path / "*.csv"), [tmp_path / f"p{i}.csv" for i in range(3)]):
            assert columns(read(what)) == {"a": [0, 1, 2], "b": ["x"] * 3}

    def test_loose_suffixes_where_nothing_else_lies(self, tmp_path: Path) -> None:
        put(tmp_path, "iris.data", "5.1,3.5,setosa\n4.9,3.0,virginica\n")
        assert columns(read(tmp_path))["column 3"] == ["setosa", "virginica"]

    def test_the_same_columns_are_demanded(self, tmp_path: Path) -> None:
        a, b = put(tmp_path, "a.csv", "x,y\n1,2\n"), put(tmp_path, "b.csv", "x,z\n1,2\n")
        assert refusal(tmp_path) == f"{b}: column 'y': is missing in this file but present in {a}"
        b.write_text("x,y\n1,two\n")
        assert refusal(tmp_path) == f"{b}: column 'y': is text in this file but number in {a}: the files must agree"
        assert columns(read(tmp_path, kinds={"y": "text"}))["y"] == ["2", "two"]
        b.write_text("y,x\n,3\n")
        assert columns(read(tmp_path)) == {"x": [1, 3], "y": [2, None]}
        a.write_text("x,y\n1,\n")
        b.write_text("x,y\n1,two\n")
        assert columns(read(tmp_path))["y"] == [None, "two"]

    def test_parts_of_one_parquet_table(self, tmp_path: Path) -> None:
        for i in range(2):
            write(tmp_path / f"part-{i}.parquet", {"a": [i, i]})
        assert (read(tmp_path).rows, columns(read(tmp_path))) == (4, {"a": [0, 0, 1, 1]})
        write(tmp_path / "part-2.parquet", {"a": ["x"]})
        assert "part-2.parquet: column 'a': is text in this file but number in" in refusal(tmp_path)
        put(tmp_path, "z.csv", "a\n1\n")
        assert "holds tables in several formats (Parquet and text)" in refusal(tmp_path)

    def test_splits(self, tmp_path: Path) -> None:
        for split, value in (("train", 1), ("test", 2), ("validation", 3)):
            put(tmp_path, f"data/{split}-00000.csv", f"a\n{value}\n")
        table = read(tmp_path)
        assert columns(table) == {"a": [1]}
        assert any("test, validation not read" in note for note in table.notes)
        assert columns(read(tmp_path, split="test")) == {"a": [2]}
        assert "no split 'dev' in this folder: it has test, train, validation" in refusal(tmp_path, split="dev")
        (tmp_path / "data/train-00000.csv").unlink()
        assert "holds the splits test, validation: choose one" in refusal(tmp_path)

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        put(tmp_path, "rice.csv", "a\n1\n")
        assert "no such file or folder; did you mean 'rice.csv'?" in refusal(tmp_path / "rize.csv")
        assert "no file matches" in refusal(str(tmp_path / "*.parquet"))
        (tmp_path / "empty").mkdir()
        assert "no data in this folder" in refusal(tmp_path / "empty")
        assert "no data given" in refusal([])
        assert "is not a path" in refusal("")
        (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
        assert "is a broken link" in refusal(tmp_path / "link.csv")
        assert "is not a regular file" in refusal("/dev/null")

    def test_no_permission(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "a\n1\n")
        path.chmod(0)
        try:
            path.read_bytes()
            pytest.skip("this user may read everything")
        except PermissionError:
            assert refusal(path) == f"{path}: Permission denied"


def picture(value: int, size: tuple[int, int] = (5, 4), mode: str = "RGB", format: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 2, 3)).save(out, format)
    return out.getvalue()


def deep_picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 5), 40_000, np.uint16)).save(out, "PNG")
    return out.getvalue()


def picture_table(path: Path, blobs: Iterable[bytes | None], name: str = "img") -> Path:
    blobs = list(blobs)
    rows = [None if blob is None else {"bytes": blob, "path": f"{i}.png"} for i, blob in enumerate(blobs)]
    pq.write_table(pa.table({name: rows, "label": list(range(len(blobs)))}), path)
    return path


class TestPictures:
    def test_in_parquet(self, tmp_path: Path) -> None:
        table = read(picture_table(tmp_path / "t.parquet", [picture(7), None, picture(9)]))
        assert dict(table.columns) == {"img": image(4, 5, 3), "label": NUMBER}
        (batch,) = table.batches()
        assert batch.schema.field("img").metadata[b"shape"] == b"[4, 5, 3]"
        first, missing, last = batch.column("img").to_pylist()
        assert (first, missing, last) == ([7, 2, 3] * 20, None, [9, 2, 3] * 20)
        again = read(pa.Table.from_batches([batch]))
        assert again.columns == table.columns
        assert columns(again) == columns(table)

    def test_bare_bytes_and_grey(self, tmp_path: Path) -> None:
        table = read({"image": [picture(7, mode="L"), picture(8, mode="L")]})
        assert table.columns["image"] == image(4, 5, 1)
        assert columns(table)["image"][1] == [8] * 20
        mixed = read({"image": [picture(7, mode="L"), picture(8)]})
        assert columns(mixed)["image"] == [[7] * 60, [8, 2, 3] * 20]

    def test_by_folders(self, tmp_path: Path) -> None:
        for name, value in (("cat", 1), ("cat", 2), ("dog", 3)):
            put(tmp_path, f"{name}/{value}.png", picture(value))
        put(tmp_path, "dog/Thumbs.db", "x")
        table = read(tmp_path)
        assert table.rows == 3
        got = columns(table)
        assert got["label"] == ["cat", "cat", "dog"]
        assert [pixels[0] for pixels in got["image"]] == [1, 2, 3]
        assert any("1 files that are not images" in note for note in table.notes)
        wrong = put(tmp_path, "dog/4.png", picture(4, (6, 4)))
        assert refusal(tmp_path).startswith(f"{wrong}: the image is 6x4, expected 5x4")

    def test_folders_with_splits(self, tmp_path: Path) -> None:
        put(tmp_path, "train/cat/1.png", picture(1))
        put(tmp_path, "test/cat/2.jpg", picture(2, format="JPEG"))
        assert columns(read(tmp_path))["image"][0][0] == 1
        assert read(tmp_path, split="test").rows == 1

    @pytest.mark.parametrize(
        ("blob", "told"),
        [
            (picture(1, (6, 4)), "row 3, column 'img': the image is 6x4, expected 5x4"),
            (b"no picture", "row 3, column 'img': not a PNG, JPEG, BMP or WebP image"),
            (deep_picture(), "row 3, column 'img': the image has more than 8 bits per channel"),
            (picture(1)[:-30], "row 3, column 'img': cannot decode the image"),
            (picture(1, (5000, 5000)), "row 3, column 'img': the image is too large: 5000x5000"),
        ],
    )
    def test_what_is_refused(self, blob: bytes, told: str, tmp_path: Path) -> None:
        assert told in refusal(picture_table(tmp_path / "t.parquet", [picture(1), picture(2), blob]))


def python_2_batch(data: bytes, labels: list[int]) -> bytes:
    """A batch file as Python 2 wrote it (protocol 2): byte strings as BINSTRING, the array by its reduce."""

    def text(value: bytes) -> bytes:
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + len(value).to_bytes(4, "little")) + value

    def whole(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + value.to_bytes(2, "little")

    listed = b"".join(
        b"(" + b"".join(whole(v) for v in labels[i : i + 1000]) + b"e" for i in range(0, len(labels), 1000)
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\x09"
        + text(b"b")
        + b"\x87q\x0aRq\x0b"
        b"(K\x01" + whole(len(labels)) + whole(3072) + b"\x86cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + text(data) + b"tb"
    )
    entries = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + b"]q\x05" + listed
    names = b"]q\x06(" + text(b"leptodactylus_s_000004.png") + b"e"
    return b"\x80\x02}q\x01(" + entries + text(b"data") + array + text(b"filenames") + names + b"u."


class TestCifarBatches:
    def test_without_unpickling(self, tmp_path: Path) -> None:
        planes = np.random.default_rng(0).integers(0, 256, (1203, 3, 32, 32), np.uint8)
        labels = [i % 10 for i in range(1203)]
        content = python_2_batch(planes.tobytes(), labels)
        assert pickle.loads(content, encoding="bytes")[b"labels"] == labels  # the form is the one Python reads
        put(tmp_path, "cifar-10-batches-py/data_batch_1", content)
        put(tmp_path, "cifar-10-batches-py/data_batch_2", content)
        put(tmp_path, "cifar-10-batches-py/test_batch", content)
        put(tmp_path, "cifar-10-batches-py/batches.meta", pickle.dumps({"label_names": ["x"]}, 2))
        table = read(tmp_path)
        assert (table.rows, dict(table.columns)) == (2406, {"img": image(32, 32, 3), "label": NUMBER})
        got = np.concatenate([b.column("img").flatten().to_numpy().reshape(-1, 32, 32, 3) for b in table.batches(500)])
        assert (got[:1203] == planes.transpose(0, 2, 3, 1)).all()
        assert columns(table.select(["label"]))["label"] == labels * 2
        assert read(tmp_path, split="test").rows == 1203

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_other_pickles(self, protocol: int, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> Any:
                return Path.touch, (tmp_path / "sprung",)

        path = put(tmp_path, "t.pkl", pickle.dumps({"data": Trap(), "labels": [1]}, protocol))
        assert "is a pickle but not a CIFAR batch" in refusal(path)
        assert not (tmp_path / "sprung").exists()

    def test_damaged(self, tmp_path: Path) -> None:
        content = python_2_batch(bytes(2 * 3072), [1, 2, 3])
        assert "6,144 bytes of pixels do not match 3 labels" in refusal(put(tmp_path, "data_batch_1", content))
        assert "cannot be read" in refusal(put(tmp_path, "u", python_2_batch(bytes(3072), [1])[:2000]))


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53).map(float)
WORDS = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1)


class TestWriting:
    @pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "arrow"])
    @settings(max_examples=40, deadline=None)
    @given(rows=st.lists(st.tuples(NUMBERS, WORDS), min_size=1, max_size=20))
    def test_what_is_written_is_read(
        self, suffix: str, rows: list[tuple[float | None, str | None]], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("w") / f"t.{suffix}"
        written = {"number": [r[0] for r in rows], "words": [r[1] for r in rows]}
        write(path, written)
        table = read(
            path,
            kinds={"number": "number", "words": "text"},
            header=True,
            delimiter={"tsv": "\t"}.get(suffix, ","),
            decimal=".",
            encoding="utf-8",
        )
        assert columns(table) == written

    def test_nan_is_nothing_and_a_file_is_replaced_whole(self, tmp_path: Path) -> None:
        path = put(tmp_path, "t.csv", "old")
        path.chmod(0o640)
        write(path, {"a": np.array([1.5, math.nan]), "b": np.array(["x", "y"])})
        assert path.read_text() == '"a","b"\n1.5,"x"\n,"y"\n'
        assert path.stat().st_mode & 0o777 == 0o640
        assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]

    def test_a_link_stays(self, tmp_path: Path) -> None:
        put(tmp_path, "real.csv", "old")
        (tmp_path / "link.csv").symlink_to("real.csv")
        write(tmp_path / "link.csv", {"a": [1]})
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "real.csv").read_text() == '"a"\n1\n'

    @pytest.mark.parametrize(
        ("name", "data", "told"),
        [
            ("t.xlsx", {"a": [1]}, "unknown format"),
            ("no/such/t.csv", {"a": [1]}, "No such file or directory"),
            ("t.csv", {"a": [1], "b": [1, 2]}, "columns differ in length"),
            ("t.csv", {"a": [[1]]}, "t.csv"),
        ],
    )
    def test_what_is_refused(self, name: str, data: Any, told: str, tmp_path: Path) -> None:
        put(tmp_path, "t.csv", "old")
        with pytest.raises(TableError, match=told):
            write(tmp_path / name, data)
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("t.csv", "old")]

    def test_a_full_disk(self, tmp_path: Path) -> None:
        # a limit on the size of files stands for the full disk: the same error, without needing one
        put(tmp_path, "t.csv", "old")
        program = (
            "import resource, signal, sys\nfrom unstuck.tabular.tables import TableError, write\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
            "try: write(sys.argv[1], {'a': range(100_000)})\n"
            "except TableError as error: print(error)"
        )
        path = str(tmp_path / "t.csv")
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
        assert done.stdout == f"{path}: File too large\n"
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("t.csv", "old")]


DATA = Path(os.environ.get("UNSTUCK_DATA") or "/nonexistent")


@pytest.mark.skipif(not (DATA / "rice.csv").exists(), reason="UNSTUCK_DATA names no folder with rice.csv")
def test_the_rice_table() -> None:
    table = read(DATA / "rice.csv")
    assert set(table.columns.values()) == {NUMBER}
    assert len(table.columns) == 12
    batches = list(table.select(["Class", "Area"]).batches(5000))
    assert sum(batch.num_rows for batch in batches) == 18185
    assert {label for batch in batches for label in batch.column("Class").to_pylist()} == {0, 1}


@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason="UNSTUCK_DATA names no folder with cifar10")
def test_cifar_pictures() -> None:
    table = read(DATA / "cifar10")
    assert (table.rows, table.columns["img"]) == (50_000, image(32, 32, 3))
    first = next(table.batches(256))
    assert first.num_rows == 256
    assert 0.3 < first.column("img").flatten().to_numpy().mean() / 255 < 0.6
