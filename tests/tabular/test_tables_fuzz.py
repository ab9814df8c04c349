"""Whatever the bytes: a table that can be read to its end, or a TableError of one line. Never anything else."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_tables import FOREIGN, damage, damaged, foreign, outcome, samples
from unstuck.tabular.tables import TableError, read

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
NAMES = st.sampled_from(["t.csv", "t.tsv", "t.parquet", "t.arrow", "t.gz", "t"])
TEXT = st.text(st.sampled_from(",;\t|\n\r\"'. 0123456789-+eNAabéß?\0\ufeff"), max_size=200)
STARTS = st.sampled_from(
    [b"", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"\x80\x02", b"\x1f\x8b", b"\xff\xfe", b"a,b\n1,"]
)


def outcome_of(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return outcome(path)


def test_whole_samples_are_read(tmp_path: Path) -> None:
    for name, content in {**samples(), **foreign()}.items():
        assert outcome_of(tmp_path, name, content) == "read", name


@settings(SLOW, max_examples=300)
@given(NAMES, STARTS, st.binary(max_size=300))
def test_bytes(tmp_path: Path, name: str, start: bytes, rest: bytes) -> None:
    assert outcome_of(tmp_path, name, start + rest) in ("read", "refused")


@settings(SLOW, max_examples=400)
@given(TEXT, st.sampled_from(["utf-8", "utf-16", "latin-1"]))
@example("a,b\n1,2\n,\n", "utf-8")
def test_text(tmp_path: Path, text: str, encoding: str) -> None:
    content = text.encode(encoding, "ignore")
    assert outcome_of(tmp_path, "t.csv", content) in ("read", "refused")


@pytest.mark.parametrize("name", samples())
@settings(SLOW, max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_damaged_samples(tmp_path: Path, name: str, seed: int) -> None:
    assert outcome_of(tmp_path, name, damage(Random(seed), samples()[name])) in ("read", "refused")


@settings(SLOW, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(-(2**53), 2**53), st.text("abc xyz", min_size=1), st.floats(-1e9, 1e9)),
        min_size=2,
        max_size=30,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.integers(1, 40),
)
def test_rows_are_neither_lost_nor_changed(
    tmp_path: Path, rows: list[tuple[int, str, float]], delimiter: str, size: int
) -> None:
    lines = [delimiter.join((str(whole), f"w{word}", repr(share))) for whole, word, share in rows]
    (tmp_path / "t.csv").write_text("\n".join([delimiter.join(("whole", "word", "share")), *lines]))
    read_back = [
        row for batch in read(tmp_path / "t.csv").batches(size) for row in zip(*batch.to_pydict().values(), strict=True)
    ]
    assert read_back == [(float(whole), f"w{word}".strip(), share) for whole, word, share in rows]


def test_one_row_of_another_width_is_always_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for place in range(3, 40):
        lines = ["a,b"] + ["1,2"] * 40
        lines[place - 1] = "1,2,3"
        path.write_text("\n".join(lines))
        with pytest.raises(TableError, match=f"row {place}: expected 2 fields, found 3"):
            list(read(path).batches())


@pytest.mark.parametrize("number", [8401, 13405, 19899])
def test_regressions(tmp_path: Path, number: int) -> None:
    name, content = damaged(number)
    assert outcome_of(tmp_path, name, content) == "refused"


@pytest.mark.parametrize("first", range(FOREIGN, FOREIGN + 100, 20))
def test_damaged_files_of_other_programs(tmp_path: Path, first: int) -> None:
    for number in range(first, first + 20):
        assert outcome_of(tmp_path, *damaged(number)) in ("read", "refused")


def test_the_same_number_gives_the_same_input() -> None:
    assert [damaged(n) for n in range(50)] == [damaged(n) for n in range(50)]
