"""One table, written in many ways: read as the plain one, or refused in one line; never read wrong."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from unstuck.tabular.tables import Table, TableError, read

N = 60
RNG = np.random.default_rng(0)
WORDS = ["red", "blue", "dark green", "Zoë"]
PLAIN: dict[str, list[Any]] = {
    "size": [round(float(v), 2) for v in RNG.uniform(1000, 9999, N)],
    "count": [int(v) for v in RNG.integers(1, 5000, N)],
    "colour": [WORDS[int(v)] for v in RNG.integers(0, 4, N)],
    "day": [date(2019, 1, 1) + timedelta(days=int(v)) for v in RNG.integers(0, 700, N)],
}
GAPS = (7, 23)
"""Rows in which a value is missing, where a case has any."""
DAYS = [float((day - date(1970, 1, 1)).days) for day in PLAIN["day"]]
WANTED = {"size": PLAIN["size"], "count": [float(v) for v in PLAIN["count"]], "colour": PLAIN["colour"], "day": DAYS}


def columns(table: Table) -> dict[str, list[Any]]:
    return pa.Table.from_batches(table.batches(), schema=table.schema).to_pydict()


def comma(number: float, places: int = 2) -> str:
    """1.234,50"""
    return f"{number:,.{places}f}".translate(str.maketrans(",.", ".,"))


def written(
    delimiter: str = ",",
    header: bool = True,
    end: str = "\n",
    gap: str | None = None,
    quote: bool = False,
    blank: str = "",
    **cells: Callable[[Any], str],
) -> str:
    """The table as text; `cells`: how the values of a column are written."""
    out = io.StringIO(newline="")
    style = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=style)
    if header:
        writer.writerow([blank * bool(j) + name for j, name in enumerate(PLAIN)])
    for i in range(N):
        row = [cells.get(name, str)(values[i]) for name, values in PLAIN.items()]
        row = [gap if gap is not None and i in GAPS else cell for cell in row]
        writer.writerow([blank * bool(j) + cell for j, cell in enumerate(row)])
    return out.getvalue()


def with_gaps() -> dict[str, list[Any]]:
    return {name: [None if i in GAPS else v for i, v in enumerate(values)] for name, values in WANTED.items()}


def numbered() -> dict[str, list[Any]]:
    return {f"column {j}": values for j, values in enumerate(WANTED.values(), start=1)}


def on(pattern: str) -> Callable[[date], str]:
    return lambda day: day.strftime(pattern)


def lines(text: str, *more: tuple[int, str]) -> str:
    """The text with other lines inserted at these places."""
    found = text.splitlines()
    for place, line in more:
        found.insert(place, line)
    return "\n".join(found) + "\n"


MONTHS = {name: [float((d.replace(day=1) - date(1970, 1, 1)).days) for d in PLAIN["day"]] for name in ("day",)}
NOON = {"day": [d + 15.75 / 24 for d in DAYS]}
TEXTS: dict[str, tuple[str | bytes, dict[str, list[Any]]]] = {
    "plain": (written(), {}),
    "utf-8 with a byte order mark": (written().encode("utf-8-sig"), {}),
    "utf-16": (written().encode("utf-16"), {}),
    "utf-16 without a mark": (written().encode("utf-16-le"), {}),
    "latin-1": (written().encode("latin-1"), {}),
    "cp1252": (written().encode("cp1252"), {}),
    "semicolons": (written(";"), {}),
    "tabs": (written("\t"), {}),
    "pipes": (written("|"), {}),
    "CRLF": (written(end="\r\n"), {}),
    "everything quoted": (written(quote=True), {}),
    "blanks behind commas": (written(blank=" "), {}),
    "blanks behind semicolons": (written(";", blank="  "), {}),
    "blanks before quotation marks": (written(quote=True).replace(',"', ', "'), {}),
    "decimal commas": (written(";", size=lambda v: f"{v:.2f}".replace(".", ",")), {}),
    "decimal commas, quoted": (written(",", size=lambda v: f"{v:.2f}".replace(".", ",")), {}),
    "thousands with commas": (written(size=lambda v: f"{v:,.2f}", count=lambda v: f"{v:,}"), {}),
    "thousands with points": (written(";", size=comma, count=lambda v: comma(v, 0)), {}),
    "thousands with blanks": (written(";", size=lambda v: f"{v:,.2f}".replace(",", "\u202f")), {}),
    "thousands with apostrophes": (written(";", size=lambda v: f"{v:,.2f}".replace(",", "'")), {}),
    "dollars": (written(size=lambda v: f"${v:,.2f}"), {}),
    "euros": (written(";", size=lambda v: comma(v) + " €"), {}),
    "euros in a file of commas": (written(size=lambda v: comma(v) + " €"), {}),
    "a currency's code": (written(size=lambda v: f"USD {v:.2f}"), {}),
    "negative in parentheses": (
        written(size=lambda v: f"({v:,.2f})"), {"size": [-v for v in PLAIN["size"]]},
    ),
    "percent": (written(size=lambda v: f"{v:.2f}%"), {"size": [v / 100 for v in PLAIN["size"]]}),
    "factors": (
        written(count=lambda v: f"{v / 1000:g}k" if v > 999 else str(v)), {},
    ),
    "a unit": (written(size=lambda v: f"{v:.2f} kg"), {}),
    "exponents": (written(size=lambda v: f"{v:.6e}"), {}),
    "day/month/year": (written(day=on("%d/%m/%Y")), {}),
    "month/day/year": (written(day=on("%m/%d/%Y")), {}),
    "day.month.year": (written(";", day=on("%d.%m.%Y")), {}),
    "day-month-year": (written(day=on("%d-%m-%Y")), {}),
    "short years": (written(day=on("%d/%m/%y")), {}),
    "short years first": (written(day=on("%y-%m-%d")), {}),
    "year/month/day": (written(day=on("%Y/%m/%d")), {}),
    "names of months": (written(day=on("%d %b %Y")), {}),
    "long names of months": (written(day=on("%B %d, %Y")), {}),
    "names of months and hyphens": (written(day=on("%d-%b-%y")), {}),
    "weekdays": (written(day=on("%a, %d %b %Y")), {}),
    "months": (written(day=on("%Y-%m")), MONTHS),
    "months, year last": (written(day=on("%m/%Y")), MONTHS),
    "names of months and years": (written(day=on("%b %Y")), MONTHS),
    "AM and PM": (written(day=on("%m/%d/%Y 03:45 PM")), NOON),
    "times": (written(day=on("%d.%m.%Y 15:45:00")), NOON),
    "a time zone": (written(day=on("%Y-%m-%dT15:45:00Z")), NOON),
    "another time zone": (written(day=on("%Y-%m-%d 17:45:00+02:00")), NOON),
    **{f"{word!r} for missing": (written(gap=word), with_gaps()) for word in ("", "NA", "?", "-", "n/a", "NULL", "  ")},
    "title lines": ("Report of the year\nby us\n\n" + written(), {}),
    "a title over several cells": ("Report of the year,,,\n" + written(), {}),
    "comments above": ("# made by us\n# on Monday, at noon\n" + written(), {}),
    "names in a comment": ("# " + written(), {}),
    "comments between": (lines(written(), (5, "# checked"), (20, "# twice")), {}),
    "quoted newlines": (
        written(colour=lambda v: f"{v}\nor so"), {"colour": [f"{v}\nor so" for v in PLAIN["colour"]]},
    ),
    "no header": (written(header=False), numbered()),
    "blank lines": (lines(written(), (1, ""), (9, ""), (30, "")), {}),
    "a comma at the end": ("\n".join(line + "," for line in written().splitlines()), {"column 5": [None] * N}),
    "gzip": (gzip.compress(written().encode()), {}),
    "bzip2": (bz2.compress(written().encode()), {}),
    "xz": (lzma.compress(written().encode()), {}),
}  # fmt: skip


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def labelled(path: Path) -> None:
    import pyreadstat

    codes = pd.DataFrame(PLAIN | {"colour": [WORDS.index(word) for word in PLAIN["colour"]]})
    pyreadstat.write_sav(codes, str(path), variable_value_labels={"colour": dict(enumerate(WORDS))})


def check(table: Table, other: dict[str, list[Any]]) -> None:
    got = columns(table)
    wanted = other if other and set(other) >= {"column 1", "column 2"} else WANTED | other
    assert list(got) == list(wanted)
    for name, values in wanted.items():
        if isinstance(values[0], float):
            assert np.array(got[name], float) == pytest.approx(np.array(values, float), rel=1e-6, nan_ok=True), name
        else:
            assert got[name] == values, name


@pytest.mark.parametrize("case", TEXTS)
def test_a_table_as_text(case: str, tmp_path: Path) -> None:
    content, other = TEXTS[case]
    check(read(put(tmp_path, "t.csv", content)), other)


def frame() -> pd.DataFrame:
    return pd.DataFrame(PLAIN | {"day": pd.to_datetime(PLAIN["day"])})


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", "about")
        archive.writestr("data/t.csv", written())


def in_sqlite(path: Path) -> None:
    with sqlite3.connect(path) as opened:
        frame().assign(day=[str(d) for d in PLAIN["day"]]).to_sql("t", opened, index=False)


def in_duckdb(path: Path) -> None:
    import duckdb

    t = frame()  # noqa: F841 - the name of the table in the statement
    with duckdb.connect(str(path)) as opened:
        opened.execute("create table t as select * from t")


def in_xlsx(path: Path, title: bool = False, as_text: bool = False) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    if title:
        sheet.append(["Report of the year"])
        sheet.append([])
    sheet.append(list(PLAIN))
    for row in zip(*PLAIN.values(), strict=True):
        sheet.append([str(cell) for cell in row] if as_text else list(row))
    book.create_sheet("notes")
    book.save(path)


def in_spss(path: Path) -> None:
    import pyreadstat

    write = {".sav": pyreadstat.write_sav, ".dta": pyreadstat.write_dta}[path.suffix]
    write(pd.DataFrame(PLAIN), str(path))


def records() -> list[dict[str, Any]]:
    return json.loads(frame().assign(day=[str(d) for d in PLAIN["day"]]).to_json(orient="records"))


def indented() -> str:
    return json.dumps({"n": N, "data": records()}, indent=1)


def as_lines(path: Path) -> None:
    frame().to_json(path, orient="records", lines=True, date_format="iso")


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "zip": ("t.zip", zipped),
    "Parquet": ("t.parquet", lambda path: frame().to_parquet(path)),
    "Feather": ("t.feather", lambda path: frame().to_feather(path)),
    "xlsx": ("t.xlsx", in_xlsx),
    "xlsx with a title": ("t.xlsx", lambda path: in_xlsx(path, title=True)),
    "xlsx with numbers as text": ("t.xlsx", lambda path: in_xlsx(path, as_text=True)),
    "JSON": ("t.json", lambda path: path.write_text(json.dumps(records()))),
    "JSON, indented, in an object": ("t.json", lambda path: path.write_text(indented())),
    "JSON of columns": ("t.json", lambda path: frame().to_json(path, date_format="iso")),
    "JSON, split": ("t.json", lambda path: frame().to_json(path, orient="split", date_format="iso")),
    "JSON lines": ("t.jsonl", lambda path: as_lines(path)),
    "JSON lines, gzipped": ("t.jsonl.gz", lambda path: as_lines(path)),
    "SQLite": ("t.sqlite", in_sqlite),
    "DuckDB": ("t.duckdb", in_duckdb),
    "Stata": ("t.dta", lambda path: frame().to_stata(path, write_index=False)),
    "Stata by ReadStat": ("t.dta", in_spss),
    "SPSS": ("t.sav", in_spss),
    "SPSS with labels": ("t.sav", labelled),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_table_in_a_file_of(case: str, tmp_path: Path) -> None:
    name, make = FILES[case]
    make(tmp_path / name)
    check(read(tmp_path / name), {})


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": frame,
    "pandas with ISO text": lambda: frame().assign(day=[str(d) for d in PLAIN["day"]]),
    "pandas with objects": lambda: frame().astype(object),
    "pandas with categories": lambda: frame().astype({"colour": "category"}),
    "pandas with ordered categories": lambda: frame().assign(
        colour=pd.Categorical(PLAIN["colour"], categories=WORDS, ordered=True)
    ),
    "pandas with periods": lambda: frame().assign(day=pd.PeriodIndex(PLAIN["day"], freq="D")),
    "pandas with intervals": lambda: frame().assign(
        count=pd.arrays.IntervalArray.from_tuples([(v - 1, v + 1) for v in PLAIN["count"]])
    ),
    "pandas with durations": lambda: frame().assign(count=pd.to_timedelta(PLAIN["count"], unit="D")),
    "pandas with dollars": lambda: frame().assign(size=[f"${v:,.2f}" for v in PLAIN["size"]]),
    "polars": lambda: pl.DataFrame(PLAIN),
    "polars, lazy": lambda: pl.LazyFrame(PLAIN),
    "Arrow": lambda: pa.table(PLAIN),
    "a dict": lambda: PLAIN,
}


@pytest.mark.parametrize("case", FRAMES)
def test_a_table_in_memory(case: str) -> None:
    check(read(FRAMES[case]()), {})


def notes(table: Table) -> str:
    columns(table)
    return "\n".join(table.notes)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(TableError) as caught:
        columns(read(path, **options))
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_dates_that_leave_the_order_open_are_named(tmp_path: Path) -> None:
    text = "day,y\n" + "".join(f"{i:02}/{i % 7 + 1:02}/2020,{i}\n" for i in range(1, 13))
    table = read(put(tmp_path, "t.csv", text))
    assert "'day': every date could be day/month/year or month/day/year: read as month/day/year (--dates dmy" in notes(
        table
    )
    first, other = (columns(read(tmp_path / "t.csv", dates=order))["day"][1] for order in ("mdy", "dmy"))
    assert (first, other) == (18295, 18323)
    assert "could be" not in notes(read(tmp_path / "t.csv", dates="dmy"))
    text = "day,other\n" + "".join(f"{i:02}/{i % 7 + 1:02}/2020,{i + 12}/01/2020\n" for i in range(1, 13))
    table = read(put(tmp_path, "u.csv", text))  # the other column settles the order
    assert "could be" not in notes(table) and columns(table)["day"][1] == 18323


def test_both_orders_in_one_column_are_named(tmp_path: Path) -> None:
    text = "day,y\n" + "".join(f"{13 + i}/01/2020,{i}\n01/{13 + i}/2020,1\n" for i in range(10))
    table = read(put(tmp_path, "t.csv", text))
    assert str(table.columns["day"]) == "text"
    assert "'day': some dates have the day first and others the month first: read as text" in notes(table)


def test_a_column_that_nearly_parses_is_named(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{'n.b.' if i % 4 == 0 else i / 2},{i}\n" for i in range(40))
    table = read(put(tmp_path, "t.csv", text))
    assert "column 'a': 75% of the values are numbers, but not 'n.b.': read as text" in notes(table)
    assert columns(read(tmp_path / "t.csv", missing=["n.b."]))["a"][:3] == [None, 0.5, 1.0]


def test_one_bad_cell_in_a_thousand_is_missing(tmp_path: Path) -> None:
    for bad, place in (("oops", 700), ("31.02.2020", 700)):
        cells = [str(i / 4) if bad == "oops" else f"{i % 28 + 1:02}.01.2020" for i in range(1000)]
        cells[place] = bad
        table = read(put(tmp_path, "t.csv", "a;y\n" + "".join(f"{cell};{i}\n" for i, cell in enumerate(cells))))
        got = columns(table)["a"]
        assert [i for i, v in enumerate(got) if v is None] == [place]
        assert f"column 'a': one cell read as missing; it, in row 702: '{bad}' is not" in notes(table)


def test_many_bad_cells_are_refused_with_row_and_column(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{'unknown' if i % 20 == 7 else i / 2},{i}\n" for i in range(100))
    path = put(tmp_path, "t.csv", text)
    assert refusal(path) == (
        f"{path}: row 9, column 'a': 'unknown' is not a number: fix it, or use --missing WORD, --text COLUMN or "
        "--drop COLUMN"
    )
    assert columns(read(path, missing=["unknown"]))["a"][6:9] == [3.0, None, 4.0]


def test_numbers_that_mean_missing(tmp_path: Path) -> None:
    path = put(tmp_path, "t.csv", "a,y\n1.5,x\n-999,y\n2,-999\n")
    assert columns(read(path, missing=["-999"])) == {"a": [1.5, None, 2], "y": ["x", "y", None]}
    assert columns(read({"a": [1.5, -999.0]}, missing=["-999"])) == {"a": [1.5, None]}


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    table = read(put(tmp_path, "t.csv", "a,a,b\n1,2,3\n4,5,6\n"))
    assert columns(table) == {"a": [1, 4], "a.1": [2, 5], "b": [3, 6]}
    assert "several columns are called 'a': column 2 is read as 'a.1'" in notes(table)
    assert columns(read(pd.DataFrame([[1, 2]], columns=["a", "a"]))) == {"a": [1], "a.1": [2]}


def test_codes_stay_text(tmp_path: Path) -> None:
    path = put(tmp_path, "t.csv", "zip,part,y\n01234,A12,1\n10115,A13,2\n00501,B1,3\n")
    assert columns(read(path)) == {"zip": ["01234", "10115", "00501"], "part": ["A12", "A13", "B1"], "y": [1, 2, 3]}


def test_ordinals_and_codes_with_letters_stay_words(tmp_path: Path) -> None:
    words = ["3rd"] * 90 + ["1st", "2nd"] * 5
    codes = ["10a"] * 95 + ["10b"] * 5
    path = put(tmp_path, "t.csv", "place,code,y\n" + "".join(f"{a},{b},1\n" for a, b in zip(words, codes, strict=True)))
    assert columns(read(path)) == {"place": words, "code": codes, "y": [1] * 100}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["5k", "3M", "750"], [5000, 3e6, 750]),
        (["$5M", "$3.5M", "$750"], [5e6, 3.5e6, 750]),
        (["5M", "3.5B", "2M"], [5e6, 3.5e9, 2e6]),
        (["5m", "3m", "2m"], [5, 3, 2]),
        (["5m", "3m", "200"], ["5m", "3m", "200"]),  # metres and something else, or millions
        (["3%", "2%", "5"], ["3%", "2%", "5"]),
        (["5 kg", "3 lb", "2 kg"], ["5 kg", "3 lb", "2 kg"]),
        (["$5", "€3", "$2"], ["$5", "€3", "$2"]),
        (["2020-01", "13-2020", "2019-12"], ["2020-01", "13-2020", "2019-12"]),
        (["19-12-31", "20-01-02", "20-02-03"], [18261, 18263, 18295]),
        (["1.2.3", "1.2.4", "1.3.0"], ["1.2.3", "1.2.4", "1.3.0"]),
        (["10.0.0.1", "10.0.0.2", "10.0.1.1"], ["10.0.0.1", "10.0.0.2", "10.0.1.1"]),
        (["555-1234", "555-9876", "555-1111"], ["555-1234", "555-9876", "555-1111"]),
        (["12:30", "1:05 PM", "23:59:30"], [12.5 / 24, (13 + 1 / 12) / 24, (24 - 0.5 / 60) / 24]),
    ],
)
def test_what_is_a_number_or_a_date(cells: list[str], expected: list[Any], tmp_path: Path) -> None:
    path = put(tmp_path, "t.csv", "a;y\n" + "".join(f"{cell};1\n" for cell in cells))
    got = columns(read(path))["a"]
    assert got == (expected if isinstance(expected[0], str) else pytest.approx(expected))


def test_names_of_rows_as_r_writes_them(tmp_path: Path) -> None:
    table = read(put(tmp_path, "t.csv", '"a","b"\n"1",5.5,"x"\n"2",6.5,"y"\n'))
    assert columns(table) == {"column 1": [1, 2], "a": [5.5, 6.5], "b": ["x", "y"]}


def test_columns_separated_by_blanks(tmp_path: Path) -> None:
    table = read(put(tmp_path, "t.dat", 'mpg  cyl "car name"\n18.0   8   "chevy malibu"\n 9.5   6\t"ford"\n'))
    assert columns(table) == {"mpg": [18, 9.5], "cyl": [8, 6], "car name": ["chevy malibu", "ford"]}


def test_several_tables_are_named(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "t.db") as opened:
        opened.execute("create table a (x)")
        opened.execute("create table b (x, y)")
        opened.execute("insert into b values (1, 'u'), (2.5, 'v')")
    assert "holds 2 tables ('a', 'b'): choose one with --table NAME" in refusal(tmp_path / "t.db")
    assert columns(read(tmp_path / "t.db", table="b")) == {"x": [1, 2.5], "y": ["u", "v"]}
    assert "no table 'c'" in refusal(tmp_path / "t.db", table="c")
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "x\n1\n")
    assert "is a zip archive of 2 files ('a.csv', 'b.csv'): unpack it and name one" in refusal(tmp_path / "t.zip")


def test_nested_json_has_names_with_dots(tmp_path: Path) -> None:
    rows = [{"a": {"b": 1.5, "c": "x"}, "d": None}, {"a": {"b": 2}, "d": "2020-01-02"}]
    path = put(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))
    assert columns(read(path)) == {"a.b": [1.5, 2], "a.c": ["x", None], "d": [None, 18263]}
    assert "row 2: is not JSON" in refusal(put(tmp_path, "u.jsonl", '{"a": 1}\n{"a": \n'))
    assert "expected a list of objects" in refusal(put(tmp_path, "u.json", "[[1]]"))


def test_times_and_dates_of_a_spreadsheet_with_gaps(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["when", "what", None, "share"], [datetime(2020, 1, 1, 12), 1, None, 0.5], [None, "x", None, None]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert columns(read(tmp_path / "t.xlsx")) == {"when": [18262.5, None], "what": ["1", "x"], "share": [0.5, None]}


def test_standard_input_can_be_read_twice() -> None:
    program = (
        "from unstuck.tabular.tables import read\ntable = read('-')\n"
        "print([sum(b.num_rows for b in table.batches()) for _ in range(2)], list(table.columns))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=written(), capture_output=True, text=True, check=True)
    assert done.stdout == f"{[N, N]} {list(PLAIN)}\n"


@pytest.mark.parametrize("months", [False, True])
def test_no_advice_to_drop_a_date(months: bool) -> None:
    from unstuck.tabular.fit.encoder import Encoder
    from unstuck.tabular.fit.loading import frame_of
    from unstuck.tabular.fit.remarks import remarks
    from unstuck.tabular.fit.roles import Roles

    days = [date(2020, 1, 1) + timedelta(days=i) for i in range(60)]  # one after the other, and each in one row only
    mixed = [day.strftime("%m/%d/%Y" if i % 2 else "%d/%m/%Y") for i, day in enumerate(days)]
    table = read({"day": mixed if months else days, "name": [f"w{i}" for i in range(60)]})
    assert str(table.columns["day"]) == ("text" if months else "date")
    who = Roles(table.columns, ())
    (batch,) = table.batches()
    frame = frame_of(batch, who)
    told = [note for note in remarks(frame, Encoder.of(frame), who.moments()) if "--drop" in note]
    assert told == [
        "column 'name' has a distinct value in every row: if it is an identifier, leave it out (--drop name)"
    ]
