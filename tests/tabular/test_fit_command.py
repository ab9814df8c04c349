"""`unstuck fit` and `unstuck predict`: what a person types, sees, and finds on disk afterwards."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics

from unstuck import cli
from unstuck.tabular.fit import checkpoint, history, size
from unstuck.tabular.fit.figures import judge
from unstuck.tabular.fit.loading import reals
from unstuck.tabular.fit.progress import Progress
from unstuck.tabular.fit.target import target
from unstuck.tabular.tables import NUMBER, TEXT

QUICK = ("--hidden", "8", "--epochs", "4")


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def unstuck(here: Path, capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> Said:
        try:
            code = cli.main(list(words))
        except SystemExit as end:  # argparse answers misuse by itself
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return run


def grains(rows: int = 240, seed: int = 0) -> list[dict[str, object]]:
    """Two sorts of rice, far from zero and in unequal units, with a colour that tells a little."""
    rng = np.random.default_rng(seed)
    sort = rng.random(rows) < 0.4
    area, width = rng.normal(5000 + 900 * sort, 300), rng.normal(0.0031 + 0.0004 * sort, 0.0002)
    colour = np.where(rng.random(rows) < 0.7, np.where(sort, "red", "white"), "brown")
    return [
        {"id": i + 1, "area": round(a, 2), "width": round(w, 6), "colour": c, "sort": "long" if s else "round"}
        for i, (a, w, c, s) in enumerate(zip(area, width, colour, sort, strict=True))
    ]


def put(path: str, rows: list[dict[str, object]], **options: str) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(rows)


def taken(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestFit:
    def test_a_table_becomes_a_model_and_a_report(self, unstuck, here: Path) -> None:
        put("rice.csv", grains())
        said = unstuck("fit", "rice.csv", "--target", "sort", "--drop", "id", "--model", "rice.model", *QUICK)
        assert said.code == 0
        for part in ("binary, 240 rows, 3 columns", "accuracy", "baseline", "Confusion matrix", "Calibration",
                     "Loss by epoch", "saved to rice.model", "\n  round"):  # fmt: skip
            assert part in said.out
        assert said.err.count("stage 1") == 1, "not a terminal: a line per stage"
        assert sorted(path.name for path in here.iterdir()) == ["rice.csv", "rice.model"]

    def test_scores_have_a_constant_baseline(self, unstuck) -> None:
        put("rice.csv", grains())
        assert unstuck("fit", "rice.csv", "--target", "sort", "--drop", "id", "--json", "-", *QUICK).code == 0
        said = unstuck(
            "fit", "rice.csv", "--target", "sort", "--drop", "id", "--json", "-", "--holdout", "0.25", *QUICK
        )
        found = json.loads(said.out)
        own, apart = found["judged"]
        assert (found["rows"], apart["rows"]) == (180, 60)
        for figures in (own, apart):
            scores = {score["name"]: score for score in figures["scores"]}
            assert scores["accuracy"]["model"] > 0.9 > 0.7 > scores["accuracy"]["constant"] > 0.5
            assert sum(map(sum, figures["confusion"])) == figures["rows"]
            assert 0 <= figures["calibration_error"] < 0.5
        epochs = found["crews"][0]["epochs"]
        assert [e["number"] for e in epochs] == list(range(1, len(epochs) + 1))
        assert all(e["train"] > 0 and e["held"] > 0 for e in epochs)

    def test_no_slow_import(self, here: Path) -> None:
        put("rice.csv", grains(60))
        put("numbers.csv", [{"area": row["area"], "width": row["width"]} for row in grains(60)])
        slow = ["torch", "sklearn", "scipy", "polars", "matplotlib", "PIL"]
        driver = f"""
import sys
from unstuck import cli
assert cli.main("fit numbers.csv --target width --hidden 4 --epochs 2 --model n".split()) == 0
print([name for name in [*{slow}, "pandas", "rich.progress"] if name in sys.modules])
assert cli.main("fit rice.csv --target sort --model m --hidden 4 --epochs 2".split()) == 0
assert cli.main("predict m rice.csv".split()) == 0
print([name for name in {slow} if name in sys.modules])
"""
        done = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines().count("[]") == 2

    def test_reproducible_to_the_bit(self, unstuck) -> None:
        put("rice.csv", grains())
        for model in ("a", "b"):
            assert unstuck("fit", "rice.csv", "--target", "sort", "--model", model, *QUICK).code == 0
        unstuck("fit", "rice.csv", "--target", "sort", "--model", "c", "--seed", "1", *QUICK)
        a, b, c = (Path(name).read_bytes() for name in "abc")
        assert a == b != c

    def test_quiet_is_one_line(self, unstuck) -> None:
        put("rice.csv", grains())
        said = unstuck("fit", "rice.csv", "--target", "sort", "--quiet", *QUICK)
        assert said.out.startswith("accuracy 9")
        assert said.out.count("\n") == 1
        assert said.err == ""

    @pytest.mark.parametrize("name", ["p.png", "p.svg"])
    def test_the_plot(self, unstuck, name: str) -> None:
        rows = grains()
        put("rice.csv", rows)
        put("odd $names$.csv", [{"x": r["area"], "y $_$": r["width"]} for r in rows])
        assert unstuck("fit", "rice.csv", "--target", "sort", "--plot", name, *QUICK).code == 0
        first = Path(name).read_bytes()
        assert first.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert unstuck("fit", "odd $names$.csv", "--target", "y $_$", "--plot", name, *QUICK).code == 0
        assert Path(name).read_bytes() != first

    def test_rows_of_another_file(self, unstuck) -> None:
        put("rice.csv", grains())
        put("more.csv", [*grains(100, seed=1), {**grains(1)[0], "sort": "wild"}, {**grains(1)[0], "sort": ""}])
        said = unstuck(
            "fit", "rice.csv", "--target", "sort", "--drop", "id", "--test", "more.csv", "--json", "-", *QUICK
        )
        found = json.loads(said.out)
        assert found["judged"][-1]["rows"] == 100
        assert found["judged"][-1]["scores"][0]["model"] > 0.9
        assert any("1 rows skipped: their class does not occur in training" in note for note in found["notes"])
        said = unstuck("fit", "rice.csv", "--target", "sort", "--test", "rice.csv", *QUICK)
        assert said.code == 2 and "--holdout" in said.err

    def test_duplicates_count_separately_in_scores(self, unstuck) -> None:
        rows = [{"x": x, "y": "ab"[x > 5]} for x in range(12)]
        put("t.csv", [*rows, *[rows[0]] * 36])
        found = json.loads(unstuck("fit", "t.csv", "--target", "y", "--json", "-", *QUICK).out)
        assert found["judged"][0]["scores"][0]["constant"] >= 0.8

    def test_weights(self, unstuck) -> None:
        rows = [{**row, "times": 1 + i % 3} for i, row in enumerate(grains(90))]
        put("weighed.csv", rows)
        put("repeated.csv", [row for row in rows for _ in range(int(str(row["times"])))])
        unstuck("fit", "weighed.csv", "--target", "sort", "--weight", "times", "--model", "a", *QUICK)
        unstuck("fit", "repeated.csv", "--target", "sort", "--drop", "times", "--model", "b", *QUICK)
        put("ask.csv", grains(20, seed=2))
        a, b = (unstuck("predict", model, "ask.csv").out for model in "ab")
        assert a == b

    def test_what_does_not_fit_in_memory_is_streamed(self, unstuck, monkeypatch: pytest.MonkeyPatch) -> None:
        put("rice.csv", [*grains(400), {**grains(1)[0], "sort": ""}])
        monkeypatch.setattr(size, "free", lambda: 0.0)
        said = unstuck(
            "fit", "rice.csv", "--target", "sort", "--drop", "id", "--model", "m", "--json", "-", "--epochs", "3"
        )
        found = json.loads(said.out)
        assert any("slabs" in note for note in found["notes"])
        assert found["rows"] == 400
        assert found["judged"][0]["scores"][0]["model"] > 0.9
        answers = unstuck("predict", "m", "rice.csv", "--keep", "sort").out
        right = [row["sort"] == row["prediction"] for row in csv.DictReader(answers.splitlines())]
        assert np.mean(right) > 0.9

    def test_pictures_in_folders(self, unstuck) -> None:
        rng = np.random.default_rng(0)
        for name, shade in (("dark", 60), ("light", 190)):
            Path("shades", name).mkdir(parents=True)
            for i in range(12):
                pixels = np.clip(rng.normal(shade, 30, (4, 5, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(f"shades/{name}/{i}.png")
        said = unstuck("fit", "shades", "--target", "label", "--model", "m", "--quiet", *QUICK)
        assert said.out.startswith("accuracy 100.00%")
        rows = list(csv.DictReader(unstuck("predict", "m", "shades", "--keep", "label").out.splitlines()))
        assert all(row["prediction"] == row["label"] for row in rows)


class TestTheTask:
    def fit(self, unstuck, columns: dict[str, list], *options: str) -> dict:
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        put("t.csv", rows)
        said = unstuck("fit", "t.csv", "--json", "-", "--hidden", "4", "--epochs", "2", *options)
        return json.loads(said.out) if said.code == 0 else {"error": said.err, "code": said.code}

    X: ClassVar[list[float]] = list(np.random.default_rng(3).normal(size=60).round(3))

    @pytest.mark.parametrize(
        ("values", "task"),
        [
            (["a", "b"] * 30, "binary"),
            (["a", "b", "c"] * 20, "multiclass"),
            (["true", "false"] * 30, "binary"),
            ([0, 1] * 30, "binary"),
            ([-1.5, 2.5] * 30, "binary"),
            ([1, 2, 3] * 20, "multiclass"),
            (list(range(60)), "regression"),
            ([x / 7 for x in range(60)], "regression"),
            (["2024-01-01", "2024-03-01", "2025-01-01"] * 20, "regression"),
        ],
    )
    def test_is_chosen_from_the_target(self, unstuck, values: list, task: str) -> None:
        assert self.fit(unstuck, {"x": self.X, "y": values}, "--target", "y")["task"] == task

    def test_few_whole_numbers_are_classes_and_it_says_so(self, unstuck) -> None:
        y = [1, 2, 3] * 20
        found = self.fit(unstuck, {"x": self.X, "y": y}, "--target", "y")
        assert any("--task regression" in note for note in found["notes"])
        assert self.fit(unstuck, {"x": self.X, "y": y}, "--target", "y", "--task", "regression")["task"] == "regression"

    def test_several_targets(self, unstuck) -> None:
        yes, no = [0, 1] * 30, [1, 1, 0] * 20
        found = self.fit(unstuck, {"x": self.X, "a": yes, "b": no}, "--target", "a,b", "--model", "m")
        assert found["task"] == "multilabel"
        rows = list(csv.DictReader(unstuck("predict", "m", "t.csv").out.splitlines()))
        assert list(rows[0]) == ["prediction", "p(a)", "p(b)"]
        found = self.fit(unstuck, {"x": self.X, "a": self.X, "b": no}, "--target", "a", "--target", "b", "--model", "m")
        assert found["task"] == "regression"
        rows = list(csv.DictReader(unstuck("predict", "m", "t.csv").out.splitlines()))
        assert list(rows[0]) == ["prediction(a)", "prediction(b)"]

    def test_several_labels_in_a_cell(self, unstuck) -> None:
        tags = ["warm;dry", "dry", "", "cold; wet"] * 15
        found = self.fit(unstuck, {"x": self.X, "t": tags}, "--target", "t", "--task", "multilabel", "--model", "m")
        assert [score["of"] for score in found["judged"][0]["scores"]][2:] == ["cold", "dry", "warm", "wet"]
        said = unstuck("predict", "m", "t.csv")
        assert said.out.startswith("prediction,p(cold),p(dry),p(warm),p(wet)\n")

    def test_rows_without_a_target_are_left_out_and_counted(self, unstuck) -> None:
        found = self.fit(unstuck, {"x": self.X, "y": ["a", "b", ""] * 20}, "--target", "y")
        assert found["rows"] == 40
        assert any("20 of 60 rows ignored" in note for note in found["notes"])

    @pytest.mark.parametrize(
        ("columns", "options", "line"),
        [
            ({"y": ["a"] * 60}, (), "column 'y': is 'a' in every row: nothing to learn"),
            ({"y": [""] * 60}, (), "column 'y': has no value in any row"),
            ({"y": [7.5] * 60}, ("--task", "regression"), "column 'y': is 7.5 in every row: nothing to learn"),
            ({"y": [f"row {i}" for i in range(60)]}, (), "too many for classes"),
            ({"y": ["a", "b", "c"] * 20}, ("--task", "binary"), "binary needs two"),
            ({"y": ["1"] * 30 + ["b"] * 30}, ("--task", "regression"), "row 32, column 'y': 'b' is not a number"),
            ({"y": ["a", "b"] * 30}, ("--weight", "w"), "no column 'w'"),
            (
                {"y": ["a", "b"] * 30, "w": [1] * 59 + [-1]},
                ("--weight", "w"),
                "row 61, column 'w': -1 is not a valid",
            ),
            (
                {"y": ["a", "b"] * 30, "w": ["much"] * 60},
                ("--weight", "w"),
                "row 2, column 'w': 'much' is not a number",
            ),
            ({"y": ["a", "b"] * 30}, ("--drop", "x"), "no input column is left"),
            ({"y": ["a", "b"] * 30}, ("--drop", "y"), "is both dropped and used"),
            ({"y": ["a", "b"] * 30}, ("--holdout", "0.001"), "leaves none on one side"),
        ],
    )
    def test_what_cannot_be_learned_is_one_line(self, unstuck, columns: dict, options: tuple, line: str) -> None:
        found = self.fit(unstuck, {"x": self.X, **columns}, "--target", "y", "--model", "m", *options)
        assert found["code"] == 2
        assert line in found["error"]
        assert found["error"].startswith("unstuck: ") and found["error"].count("\n") == 1
        assert {path.name for path in Path().iterdir()} == {"t.csv"}


class TestNotes:
    def notes(self, unstuck, rows: list[dict], *options: str) -> str:
        put("t.csv", rows)
        said = unstuck("fit", "t.csv", "--target", "y", "--json", "-", "--hidden", "4", "--epochs", "2", *options)
        return "\n".join(json.loads(said.out)["notes"])

    def test_say_what_the_columns_are_like(self, unstuck) -> None:
        rng = np.random.default_rng(0)
        rows = [
            {
                "number": i + 1, "name": f"n{i}", "gap": "" if i % 5 == 0 else i % 7, "still": 3, "none": "",
                "wealth": float(np.exp(rng.normal(0, 4))), "y": "rare" if i % 40 == 0 else "usual",
            }
            for i in range(120)
        ]  # fmt: skip
        notes = self.notes(unstuck, rows)
        parts = (
            "'number' numbers the rows",
            "'name' has a distinct value in every row",
            "'gap' has missing values",
            "2 columns are constant or empty, ignored: 'still', 'none'",
            "skewed",
            "97.5% of the rows are 'usual'",
        )
        for part in parts:
            assert part in notes, part

    def test_three_rows_are_too_few_to_evaluate(self, unstuck) -> None:
        notes = self.notes(unstuck, [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}, {"x": 3, "y": "a"}])
        assert "3 rows are too few" in notes
        assert "class 'b' has only one row" in notes


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", "t.csv: is empty"),
            ("a,y\n", "a header but no rows"),
            ("a,b,y\n1,2,3\n1,2\n", "row 3: expected 3 fields, found 2"),
            ("a,b,z\n1,2,3\n1,2,4\n", "no column 'y'"),
            ("y\n1\n2\n", "no input column is left"),
        ],
    )
    def test_is_one_line(self, unstuck, text: str, line: str) -> None:
        Path("t.csv").write_text(text)
        said = unstuck("fit", "t.csv", "--target", "y", "--model", "m")
        assert said.code == 2
        assert line in said.err and said.err.count("\n") == 1
        assert {path.name for path in Path().iterdir()} == {"t.csv"}

    @pytest.mark.parametrize(
        "words",
        ["--hidden 0", "--hidden x", "--epochs 0", "--rate -1", "--holdout 1.5", "--task sort", "--plot p.gif",
         "--model no/where", "--resume", "--json .", "--delimiter ;;"],
    )  # fmt: skip
    def test_misuse_is_reported_before_reading(self, unstuck, words: str) -> None:
        put("rice.csv", grains(20))
        said = unstuck("fit", "rice.csv", "--target", "sort", *words.split())
        assert said.code == 2
        assert "Traceback" not in said.err

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="who may do everything is refused nothing")
    def test_no_permission(self, unstuck) -> None:
        put("rice.csv", grains(20))
        Path("rice.csv").chmod(0)
        said = unstuck("fit", "rice.csv", "--target", "sort")
        assert said.code == 2 and "Permission denied" in said.err

    def test_very_many_columns(self, unstuck) -> None:
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 24)
        columns = {f"c{j}": rng.normal(size=24).round(2) for j in range(3000)}
        pq.write_table(pa.table({**columns, "y": y}), "wide.parquet")
        assert unstuck("fit", "wide.parquet", "--target", "y", "--hidden", "2", "--epochs", "1", "--quiet").code == 0

    def test_a_full_disk_while_saving(self, unstuck, monkeypatch: pytest.MonkeyPatch) -> None:
        put("rice.csv", grains(60))
        Path("m").write_text("an older model")
        with monkeypatch.context() as disk:
            full_when(disk, lambda path: path.name == "m.new")
            said = unstuck("fit", "rice.csv", "--target", "sort", "--model", "m", *QUICK)
        assert said.code == 2
        assert "No space left on device" in said.err and "--resume" in said.err
        assert Path("m").read_text() == "an older model"
        assert {path.name for path in Path().iterdir()} == {"rice.csv", "m", "m.checkpoint"}
        assert unstuck("fit", "rice.csv", "--target", "sort", "--model", "m", "--resume", *QUICK).code == 0
        assert {path.name for path in Path().iterdir()} == {"rice.csv", "m"}

    def test_a_full_disk_at_the_checkpoint_costs_nothing_but_the_checkpoint(
        self, unstuck, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put("rice.csv", grains(60))
        full_when(monkeypatch, lambda path: path.parent.name == "m.checkpoint")
        said = unstuck("fit", "rice.csv", "--target", "sort", "--model", "m", *QUICK)
        assert said.code == 0
        assert said.err.count("training continues without it") == 1
        assert {path.name for path in Path().iterdir()} == {"rice.csv", "m"}


def full_when(monkeypatch: pytest.MonkeyPatch, full) -> None:
    """A disk on which some files end in the middle."""
    from safetensors import numpy

    def save_file(tensors, path, metadata=None):
        written(Path(path), numpy.save(tensors, metadata))

    def written(path: Path, content: bytes) -> int:
        if full(path):
            whole(path, b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, content)

    whole = Path.write_bytes
    monkeypatch.setattr(numpy, "save_file", save_file)
    monkeypatch.setattr(Path, "write_bytes", written)


KILLED = """
import os, signal, sys
from pathlib import Path
from unstuck import cli
from unstuck.tabular.fit import history
history.PAUSE = 0.0
left = int(sys.argv[1])
def count(step):
    def counted(*a, **k):
        global left
        if sys.argv[2] == "before" and (left := left - 1) < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        done = step(*a, **k)
        if sys.argv[2] == "after" and (left := left - 1) < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return counted
Path.replace = count(Path.replace)
cli.main(sys.argv[3:])
"""


def stopping_at(number: int):
    """A Ctrl-C after so many epochs."""
    seen: list[object] = []

    def stopping(self, shape, now) -> None:
        epoch(self, shape, now)
        seen.append(now)
        if len(seen) == number:
            raise KeyboardInterrupt

    epoch = Progress.epoch
    return stopping


class TestResume:
    WORDS = ("fit", "rice.csv", "--target", "sort", "--drop", "id", "--epochs", "2", "--model")

    @pytest.mark.parametrize(("notes", "when"), [(0, "before"), (4, "after"), (9, "before")])
    def test_after_a_kill_it_ends_at_the_same_bits(self, unstuck, notes: int, when: str) -> None:
        put("rice.csv", grains(60))
        assert unstuck(*self.WORDS, "whole").code == 0
        words = [sys.executable, "-c", KILLED, str(notes), when, *self.WORDS, "broken"]
        assert subprocess.run(words, capture_output=True).returncode == -signal.SIGKILL
        assert not Path("broken").exists()
        assert unstuck(*self.WORDS, "broken", "--resume").code == 0
        assert Path("broken").read_bytes() == Path("whole").read_bytes()
        assert not Path("broken.checkpoint").exists()

    def test_a_streamed_training_goes_on_too(self, unstuck, monkeypatch: pytest.MonkeyPatch) -> None:
        put("rice.csv", grains(300))
        monkeypatch.setattr(history, "PAUSE", 0.0)
        monkeypatch.setattr(size, "free", lambda: 0.0)
        assert unstuck(*self.WORDS, "whole").code == 0
        with monkeypatch.context() as patched:
            patched.setattr(Progress, "epoch", stopping_at(1))
            assert unstuck(*self.WORDS, "broken").code == 130
        assert unstuck(*self.WORDS, "broken", "--resume").code == 0
        assert Path("broken").read_bytes() == Path("whole").read_bytes()

    @pytest.fixture
    def interrupted(self, unstuck, monkeypatch: pytest.MonkeyPatch) -> Said:
        put("rice.csv", grains(120))
        monkeypatch.setattr(history, "PAUSE", 0.0)
        with monkeypatch.context() as patched:
            patched.setattr(Progress, "epoch", stopping_at(3))
            return unstuck("fit", "rice.csv", "--target", "sort", "--hidden", "8", "--epochs", "9", "--model", "m")

    def test_ctrl_c_says_where_the_checkpoint_is(self, unstuck, interrupted: Said) -> None:
        assert interrupted.code == 130
        assert "m.checkpoint" in interrupted.err and "--resume" in interrupted.err
        found = json.loads(
            unstuck("fit", "rice.csv", "--target", "sort", "--hidden", "8", "--epochs", "9", "--model", "m", "--resume",
                    "--json", "-").out
        )  # fmt: skip
        assert [e["number"] for e in found["crews"][0]["epochs"]][:4] == [1, 2, 3, 4], "the curve is whole"

    def test_nothing_interrupted_is_trained_over(self, unstuck, interrupted: Said) -> None:
        before = {path: path.read_bytes() for path in Path("m.checkpoint").iterdir()}
        said = unstuck("fit", "rice.csv", "--target", "sort", "--hidden", "8", "--epochs", "9", "--model", "m")
        assert said.code == 2 and "--resume to continue it" in said.err
        other = unstuck("fit", "rice.csv", "--target", "sort", "--hidden", "9", "--model", "m", "--resume")
        assert other.code == 2 and "other data, other options" in other.err
        put("rice.csv", grains(121))
        other = unstuck(
            "fit", "rice.csv", "--target", "sort", "--hidden", "8", "--epochs", "9", "--model", "m", "--resume"
        )
        assert other.code == 2 and "other data, other options" in other.err
        assert {path: path.read_bytes() for path in Path("m.checkpoint").iterdir()} == before

    def test_a_folder_of_other_things_is_left_alone(self, unstuck) -> None:
        put("rice.csv", grains(60))
        Path("notes").mkdir()
        Path("notes/mine.txt").write_text("mine")
        said = unstuck("fit", "rice.csv", "--target", "sort", "--checkpoint", "notes", *QUICK)
        assert said.code == 2 and "contains other files" in said.err
        assert [path.name for path in Path("notes").iterdir()] == ["mine.txt"]

    def test_a_damaged_checkpoint_is_one_line(self, unstuck, interrupted: Said) -> None:
        for path in Path("m.checkpoint").iterdir():
            path.write_bytes(path.read_bytes()[:100])
        said = unstuck(
            "fit", "rice.csv", "--target", "sort", "--hidden", "8", "--epochs", "9", "--model", "m", "--resume"
        )
        assert said.code == 2 and "is corrupt" in said.err and said.err.count("\n") == 1


class TestPredict:
    @pytest.fixture
    def model(self, unstuck) -> str:
        put("rice.csv", grains())
        unstuck("fit", "rice.csv", "--target", "sort", "--drop", "id", "--model", "m", *QUICK)
        return "m"

    def test_writes_a_class_and_a_probability_for_each(self, unstuck, model: str) -> None:
        put("new.csv", grains(30, seed=5))
        said = unstuck("predict", model, "new.csv", "--keep", "id,sort")
        rows = list(csv.DictReader(said.out.splitlines()))
        assert list(rows[0]) == ["id", "sort", "prediction", "p(long)", "p(round)"]
        assert [row["id"] for row in rows] == [str(i + 1) for i in range(30)]
        assert np.mean([row["sort"] == row["prediction"] for row in rows]) > 0.9
        for row in rows:
            long, round_ = float(row["p(long)"]), float(row["p(round)"])
            assert long + round_ == pytest.approx(1, abs=1e-6)
            assert row["prediction"] == ("long" if long > round_ else "round")

    @pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.parquet", "o.arrow"])
    def test_into_a_file(self, unstuck, model: str, name: str) -> None:
        plain = unstuck("predict", model, "rice.csv", "--keep", "id").out
        assert unstuck("predict", model, "rice.csv", "--keep", "id", "-o", name).code == 0
        assert unstuck("predict", model, name, "-o", "x.csv").code == 2, "the answers lack the columns"
        if name.endswith("v"):
            assert Path(name).read_text() == plain.replace(",", "," if name == "o.csv" else "\t")
        else:
            table = pq.read_table(name) if name == "o.parquet" else pa.ipc.open_file(name).read_all()
            rows = list(csv.DictReader(plain.splitlines()))
            assert table.column("prediction").to_pylist() == [row["prediction"] for row in rows]
            assert table.column("p(long)").to_pylist() == pytest.approx([float(row["p(long)"]) for row in rows])

    def test_columns_are_found_by_name(self, unstuck, model: str) -> None:
        rows = grains(20, seed=5)
        put("new.csv", rows)
        put("other.csv", [{"extra": 1, "colour": r["colour"], "width": r["width"], "area": r["area"]} for r in rows])
        said = unstuck("predict", model, "other.csv")
        assert said.out == unstuck("predict", model, "new.csv").out
        assert "not trained on them: 'extra'" in said.err

    def test_the_same_rows_written_otherwise_get_the_same_answers(self, unstuck, model: str) -> None:
        rows = grains(20, seed=5)
        put("new.csv", rows)
        comma = [{k: str(v).replace(".", ",") for k, v in row.items()} for row in rows]
        put("new.txt", comma, delimiter=";")
        assert unstuck("predict", model, "new.txt").out == unstuck("predict", model, "new.csv").out

    def test_words_never_seen_and_missing_values(self, unstuck, model: str) -> None:
        row = grains(1)[0]
        put("new.csv", [{**row, "colour": "ultraviolet"}, {**row, "colour": "", "area": ""}])
        said = unstuck("predict", model, "new.csv")
        assert said.code == 0
        assert len(said.out.splitlines()) == 3
        assert "nan" not in said.out

    @pytest.mark.parametrize(
        ("rows", "line"),
        [
            ([{"area": 1, "width": 2}], "no column 'colour'"),
            ([{"aera": 1, "width": 2, "colour": "red"}], "no column 'area'; did you mean 'aera'?"),
            ([{"a": 1}], "missing input columns: 'area', 'width', 'colour'"),
            ([{"area": "x", "width": 2, "colour": "red"}] * 3, "row 2, column 'area': 'x' is not a number"),
        ],
    )
    def test_other_columns_are_one_line(self, unstuck, model: str, rows: list, line: str) -> None:
        put("new.csv", rows)
        said = unstuck("predict", model, "new.csv", "-o", "o.csv")
        assert said.code == 2
        assert line in said.err and said.err.count("\n") == 1
        assert not Path("o.csv").exists()

    def test_a_fault_in_the_middle_leaves_the_old_file(self, unstuck, model: str) -> None:
        rows = grains(30_000)
        for row in rows[-200:]:
            row["area"] = "oops"
        put("new.csv", rows)
        Path("o.csv").write_text("old")
        said = unstuck("predict", model, "new.csv", "-o", "o.csv")
        assert said.code == 2 and "row 29,802, column 'area'" in said.err
        assert Path("o.csv").read_text() == "old"
        assert not list(Path().glob(".*"))

    @pytest.mark.parametrize("what", ["rice.csv", "nothing", "."])
    def test_no_model_is_one_line(self, unstuck, model: str, what: str) -> None:
        said = unstuck("predict", what, "rice.csv")
        assert said.code == 2 and said.err.count("\n") == 1

    def test_keeping_what_is_called_like_an_answer(self, unstuck, model: str) -> None:
        put("new.csv", [{**row, "prediction": 1} for row in grains(5)])
        said = unstuck("predict", model, "new.csv", "--keep", "prediction")
        assert said.code == 2 and "two columns would be called 'prediction'" in said.err

    def test_numbers_come_back_in_the_units_of_the_target(self, unstuck) -> None:
        rng = np.random.default_rng(0)
        rows = [{"x": x, "price": 1e6 + 2e5 * x} for x in rng.normal(size=300).round(4)]
        put("t.csv", rows)
        assert unstuck("fit", "t.csv", "--target", "price", "--model", "m", "--hidden", "16").code == 0
        answers = [
            float(row["prediction"]) for row in csv.DictReader(unstuck("predict", "m", "t.csv").out.splitlines())
        ]
        assert np.corrcoef(answers, [row["price"] for row in rows])[0, 1] > 0.99
        assert abs(np.mean(answers) - 1e6) < 5e4

    @pytest.mark.parametrize(
        ("values", "expected"),
        [(["true", "false"], {"true", "false"}), ([3, 10], {"3", "10"}), ([0.5, 2], {"0.5", "2"})],
    )
    def test_classes_come_back_as_they_were_written(self, unstuck, values: list, expected: set[str]) -> None:
        put("t.csv", [{"x": i % 2 + i / 100, "y": values[i % 2]} for i in range(60)])
        unstuck("fit", "t.csv", "--target", "y", "--model", "m", "--hidden", "8")
        rows = list(csv.DictReader(unstuck("predict", "m", "t.csv").out.splitlines()))
        assert {row["prediction"] for row in rows} == expected

    def test_closed_pipe_is_not_an_error(self, unstuck, model: str) -> None:
        put("new.csv", grains(20_000))
        words = [sys.executable, "-m", "unstuck", "predict", model, "new.csv"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert running.stdout is not None and running.stderr is not None
            running.stdout.readline()
            running.stdout.close()
            assert b"Traceback" not in running.stderr.read()


class TestFigures:
    """Against another implementation of the same measures."""

    @settings(max_examples=60)
    @given(st.integers(2, 4), st.integers(8, 60), st.integers(0, 2**32 - 1), st.booleans())
    def test_classes(self, k: int, n: int, seed: int, weighed: bool) -> None:
        rng = np.random.default_rng(seed)
        y = np.concatenate([np.arange(k), rng.integers(0, k, n)]).astype(np.float64)
        p = rng.dirichlet(np.ones(k), len(y)).round(2) + 1e-3
        p /= p.sum(axis=1, keepdims=True)
        w = rng.integers(1, 5, len(y)).astype(float) if weighed else None
        aim = target(["y"], [NUMBER], [y], sort="multiclass") if len(y) >= 2 * k else None
        assert aim is not None
        found = judge(aim, p, y.astype(np.int64), w)
        scores = {score.name: score.model for score in found.scores}
        taken = p.argmax(axis=1)
        assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(y, taken, sample_weight=w))
        assert scores["balanced accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, taken, sample_weight=w))
        assert scores["log loss"] == pytest.approx(metrics.log_loss(y, p, sample_weight=w))
        if k == 2:
            area = metrics.roc_auc_score(y, p[:, 1], sample_weight=w)
            assert scores["area under the ROC"] == pytest.approx(area)
        assert np.allclose(found.confusion, metrics.confusion_matrix(y, taken, sample_weight=w))
        assert sum(b.rows for b in found.bins) == pytest.approx(len(y) if w is None else w.sum())
        assert all(b.low <= b.said <= b.low + 0.1 + 1e-9 for b in found.bins)

    @settings(max_examples=40)
    @given(st.integers(3, 50), st.integers(0, 2**32 - 1))
    def test_numbers(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        y, given_ = rng.normal(3, 5, n), rng.normal(3, 5, (n, 1))
        aim = target(["y"], [NUMBER], [y], sort="regression")
        scores = {score.name: score for score in judge(aim, given_, y[:, None]).scores}
        assert scores["R2"].model == pytest.approx(metrics.r2_score(y, given_))
        assert scores["root mean squared error"].model == pytest.approx(metrics.root_mean_squared_error(y, given_))
        assert scores["mean absolute error"].model == pytest.approx(metrics.mean_absolute_error(y, given_))
        assert scores["root mean squared error"].constant == pytest.approx(y.std())

    def test_huge_numbers_overflow_nowhere(self) -> None:
        y = np.array([1e300, -1e300, 1e300, 0.0])
        found = judge(target(["y"], [NUMBER], [y], sort="regression"), y[:, None] * 0.9, y[:, None])
        assert [score.model for score in found.scores] == pytest.approx([0.988, 8.66e298, 7.5e298], rel=0.01)

    def test_baseline_scores_are_those_of_a_constant(self) -> None:
        words = np.array(["a"] * 30 + ["b"] * 10, object)
        aim = target(["y"], [TEXT], [words])
        found = judge(aim, np.tile([0.75, 0.25], (40, 1)), aim.y)
        for score in found.scores:
            assert score.model == pytest.approx(score.constant), score.name
        assert found.calibration_error == pytest.approx(0)


class TestLoading:
    @given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), max_size=40), st.integers(0, 40))
    def test_numbers_are_read_as_they_lie(self, values: list[float | None], start: int) -> None:
        column = pa.array(values, pa.float64()).slice(start)
        expected = [np.nan if value is None else value for value in values[start:]]
        assert np.array_equal(reals(column), expected, equal_nan=True)


@pytest.mark.parametrize("verb", ["fit", "predict"])
def test_page_documents_every_option(unstuck, verb: str) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "fit.md").read_text(encoding="utf-8")
    options = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", unstuck(verb, "--help").out)) - {"-h", "--help"}
    assert len(options) > 6
    assert {option for option in options if f"{option} " not in page and f"{option}`" not in page} <= {"--out"}


def test_checkpoint_mark_depends_on_data_and_options() -> None:
    marks = {checkpoint.mark_of(*parts) for parts in [(1,), (2,), (1, 1), ("1",)]}
    assert len(marks) == 4
