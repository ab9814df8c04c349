"""Explanations: what is found in tables whose truth is known, and the page."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unstuck import Classifier, Regressor
from unstuck.cli import main
from unstuck.tabular.fit.explain.contributions import contributions
from unstuck.tabular.fit.explain.dependence import dependences, interactions
from unstuck.tabular.fit.explain.drift import drifts
from unstuck.tabular.fit.explain.explanation import Explanation
from unstuck.tabular.fit.explain.growth import Growth, grown
from unstuck.tabular.fit.explain.importance import importances
from unstuck.tabular.fit.explain.subject import Subject
from unstuck.tabular.fit.explain.suspects import alone, mislabelled
from unstuck.tabular.fit.explain.units import Unit, units
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.task import Classes, Numbers

Array = np.ndarray
NAMES = ["a", "b", "c", "copy", "word"]
WORTH = {"x": 1.0, "y": -1.0, None: 0.0}


def formula(frame: Frame) -> Array:
    """2 a + b c + the worth of the word, (n, 1)."""
    x = frame.numbers
    return (2 * x[:, 0] + x[:, 1] * x[:, 2] + np.array([WORTH[word] for word in frame.words[0]]))[:, None]


def subject(rows: int = 400) -> Subject:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4))
    x[:, 3] = x[:, 0] + 0.1 * rng.normal(size=rows)
    frame = Frame(x, (rng.choice(np.array(["x", "y", None], object), rows).tolist(),))
    y = formula(frame)
    return Subject(formula, Numbers.of(y), ("y",), units(frame, None, NAMES), frame, y)


class TestImportance:
    def test_of_a_known_formula(self) -> None:
        found = {one.columns: one for one in importances(subject())}
        variance = float(subject().y.var())  # type: ignore[union-attr]
        # Shuffling a column doubles the variance of what depends on it alone.
        assert found[("a",)].mean == pytest.approx(2 * 4 / variance, rel=0.2)
        assert found[("word",)].mean == pytest.approx(2 * (2 / 3) / variance, rel=0.25)
        assert found[("copy",)].mean == 0

    def test_correlated_columns_are_also_shuffled_together(self) -> None:
        found = importances(subject())
        assert {one.columns for one in found if len(one.columns) > 1} == {("a", "copy")}

    def test_without_targets_it_is_the_change_of_the_predictions(self) -> None:
        from dataclasses import replace

        found = {one.columns: one for one in importances(replace(subject(), y=None))}
        assert found[("a",)].mean == pytest.approx(2 * 2 / np.pi**0.5, rel=0.15)  # the mean distance of two normals

    def test_of_a_quantile_it_is_that_of_its_loss(self) -> None:
        from dataclasses import replace

        own = subject()
        assert isinstance(own.task, Numbers)
        low = replace(own, task=replace(own.task, quantile=0.1))
        above = low.losses(own.y + 1)  # type: ignore[operator]
        assert low.measure == "quantile loss" and np.allclose(above, 0.9 / own.task.spread)
        assert np.allclose(low.losses(own.y - 1), 0.1 / own.task.spread)  # type: ignore[operator]


class TestDependence:
    def test_of_a_known_formula(self) -> None:
        a, word = dependences(subject(), ["a", "word"], ())
        means = np.array([mean[0] for mean in a.curves[0].means])
        assert np.allclose(np.diff(means), 2 * np.diff(np.array(a.values, float)))
        told = dict(zip(word.values, (mean[0] for mean in word.curves[0].means), strict=True))
        assert told["x"] - told["y"] == pytest.approx(2) and told["x"] - told["missing"] == pytest.approx(1)

    def test_the_strongest_interaction_divides_the_curve(self) -> None:
        pairs = interactions(subject(), ["a", "b", "c", "word"])
        assert set(pairs[0].columns) == {"b", "c"} and pairs[0].strength > 0.2
        assert all(pair.strength < 1e-9 for pair in pairs[1:])
        (b,) = dependences(subject(), ["b"], pairs)
        assert b.by == "c" and [curve.group for curve in b.curves] == ["all rows", "c: low", "c: high"]
        low, high = (np.polyfit(np.array(b.values, float), np.ravel(one.means), 1)[0] for one in b.curves[1:])
        assert low < -0.5 and high > 0.5

    def test_a_date_is_one_column(self) -> None:
        when = Unit("when", "date", 0, 7)
        frame = Frame(np.zeros((3, 7)))
        fixed = when.fixed(frame, 31.0)  # 1 February 1970, a Sunday
        assert np.allclose(fixed.numbers[0, 1:3], [np.sin(np.pi / 6), np.cos(np.pi / 6)])
        assert when.taken(frame, fixed).numbers.tolist() == fixed.numbers.tolist()


class TestContributions:
    def test_they_add_up_to_the_prediction(self) -> None:
        (one,) = contributions(subject(), np.array([7]), subject(), 0)
        assert one.base + sum(value for *_, value in one.values) == pytest.approx(one.prediction)
        assert one.prediction == pytest.approx(formula(subject().frame)[7, 0])

    def test_an_additive_part_gets_its_own_value(self) -> None:
        own = subject()
        (one,) = contributions(own, np.array([3]), own, 0)
        found = {name: value for name, _, value in one.values}
        background = own.some(50).frame
        assert found["a"] == pytest.approx(2 * (own.frame.numbers[3, 0] - background.numbers[:, 0].mean()))
        assert found["copy"] == 0

    def test_of_an_interaction_each_column_gets_its_share(self) -> None:
        own = subject()
        (one,) = contributions(own, np.array([3]), own, 0)
        found = {name: value for name, _, value in one.values}
        b, c = own.frame.numbers[3, 1:3]
        other = own.some(50).frame.numbers
        half = ((b - other[:, 1]) * (c + other[:, 2]) / 2).mean()  # the Shapley value of b in b c
        assert found["b"] == pytest.approx(half)


class TestSuspects:
    def test_a_swapped_label_is_found(self) -> None:
        p = np.array([[0.95, 0.05]] * 20 + [[0.05, 0.95]] * 20)
        y = np.array(["no"] * 20 + ["yes"] * 20)
        y[4] = "yes"
        (odd,) = mislabelled(Classes(np.array(["no", "yes"])), p, y, np.arange(100, 140))
        assert (odd.row, odd.given, odd.predicted) == (104, "yes", "no (95%)")

    def test_a_number_far_from_its_prediction_is_found(self) -> None:
        rng = np.random.default_rng(0)
        answers = rng.normal(size=(200, 1))
        y = answers + 0.1 * rng.normal(size=(200, 1))
        y[17] += 3
        assert [odd.row for odd in mislabelled(Numbers.of(y), answers, y, np.arange(200))] == [17]

    @pytest.mark.parametrize("rows", [100, 3000])
    def test_a_column_that_holds_the_target_leaks(self, rows: int) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=rows)
        number = Unit("a", "number", 0)
        frame = Frame(x[:, None], ([f"{value > 0}" for value in x],))
        assert alone(number, frame, (3 * x - 1)[:, None]).leaks
        assert alone(number, frame, (x > 0.3)[:, None] * 1.0).leaks
        assert alone(Unit("w", "words", 0), frame, (x > 0)[:, None] * 1.0).leaks
        assert not alone(number, frame, (x + rng.normal(size=rows))[:, None]).leaks
        assert alone(number, frame, rng.normal(size=(rows, 1))).explained < 0.05

    def test_a_column_with_a_different_word_in_each_row_explains_nothing(self) -> None:
        frame = Frame(np.zeros((200, 0)), ([str(i) for i in range(200)],))
        goals = np.random.default_rng(0).normal(size=(200, 1))
        assert alone(Unit("id", "words", 0), frame, goals).explained < 0.01


class TestDrift:
    def test_of_numbers_and_words(self) -> None:
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"same": rng.normal(size=800), "moved": rng.normal(size=800), "kind": ["p", "q"] * 400})
        model = Regressor(hidden=4, epochs=2, random_state=0).fit(X[:400], X.same[:400])
        new = X[400:].assign(moved=X.moved + 1, kind=np.where(rng.random(800)[400:] < 0.9, "p", "q"))
        found = {one.column: one for one in model.explain(new).drifts}
        assert not found["same"].drifted and found["same"].distance < 0.1
        assert found["moved"].drifted and found["moved"].distance == pytest.approx(0.383, abs=0.1)
        assert found["kind"].drifted and found["kind"].distance == pytest.approx(0.4, abs=0.05)
        assert "p: 50.0% in training" in found["kind"].how

    def test_rows_of_the_training_do_not_drift(self) -> None:
        rng = np.random.default_rng(1)
        frame = Frame(np.c_[np.exp(rng.normal(size=500) * 3), rng.integers(0, 3, 500)])
        from unstuck.tabular.fit.encoder import Encoder

        found = drifts(Encoder.of(frame), frame.take(np.arange(0, 500, 2)), units(frame, None, ["a", "b"]))
        assert not any(one.drifted for one in found)


class TestGrowth:
    @pytest.mark.parametrize("noise, word", [(0.0, "would probably help"), (1.0, "would hardly help")])
    def test_more_rows_help_where_the_loss_falls(self, noise: float, word: str) -> None:
        rng = np.random.default_rng(0)
        frame = Frame(rng.normal(size=(2000, 1)))
        off = rng.normal(size=2000)

        def fit(rows: Array) -> Any:
            bias = (1 - noise) * 10 / len(rows)
            return lambda some: np.full((len(some), 1), bias)

        found = grown(fit, frame, np.zeros(2000), lambda told, rows: told[:, 0] + noise * off[rows] ** 2, "loss", 0)
        assert found.growth.rows == (200, 400, 800, 1600) and found.growth.held == 400
        assert word in found.growth.verdict


def test_a_loss_that_rises_is_called_so() -> None:
    found = Growth("log loss", (100, 200), (0.5, 0.6), (0.1, 0.1), 50, -0.1, 0.1)
    assert found.verdict.endswith("from 100 to 200 rows the log loss rose by 0.1 (standard error 0.1).")
    assert not found.helps and Growth("log loss", (9,), (0.5,), (0.1,), 3).verdict.startswith("There are too few")


def flats(rows: int = 240) -> tuple[pd.DataFrame, Array]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"<size>": rng.normal(size=rows), "kind": rng.choice(["old", "new & fine"], rows)})
    return X, np.where(X["<size>"] + (X.kind == "old") + 0.1 * rng.normal(size=rows) > 0.5, "<b>dear</b>", "cheap")


@pytest.fixture(scope="module")
def told() -> Explanation:
    X, y = flats()
    return Classifier(hidden=8, epochs=15, random_state=0).fit(X[:160], y[:160]).explain(X[160:], y[160:], curve=True)


class TestPage:
    def test_it_has_every_part(self, told: Explanation) -> None:
        titles = re.findall(r"<h2>(.*?)</h2>", told.page)
        assert titles == [
            "Importance", "How predictions depend on a column", "Interactions", "Single predictions", "Errors",
            "Would more rows help?", "Rows that look mislabelled", "Columns that look like the target",
            "Drift since the training",
        ]  # fmt: skip
        assert told.importances[0].columns == ("<size>",) and told.figures is not None and told.figures.bins

    def test_it_escapes_names_and_loads_nothing(self, told: Explanation) -> None:
        assert "<b>" not in told.page and "&lt;b&gt;dear" in told.page and "&lt;size&gt;" in told.page
        assert "<script" not in told.page and "://" not in told.page and "default-src 'none'" in told.page

    def test_it_is_shown_in_a_notebook(self, told: Explanation) -> None:
        frame = told._repr_html_()
        assert frame.startswith("<iframe sandbox srcdoc=") and html.escape(told.page) in frame
        assert repr(told) == "<Explanation of 80 rows: most important <size>, kind>"

    def test_a_file_is_written_whole(self, told: Explanation, tmp_path: Path) -> None:
        told.html(tmp_path / "e.html")
        assert [path.name for path in tmp_path.iterdir()] == ["e.html"]
        assert (tmp_path / "e.html").read_text(encoding="utf-8") == told.page


def test_rows_are_chosen_by_number() -> None:
    X, y = flats(100)
    model = Classifier(hidden=4, epochs=3, random_state=0).fit(X, y)
    found = model.explain(X, rows=[3, -1])
    assert [one.row for one in found.contributions] == [3, 99]
    assert found.contributions[0].prediction == pytest.approx(model.predict_proba(X)[3, 1])
    assert found.measure == "" and found.figures is None and not found.alone
    with pytest.raises(ValueError, match="from 0 to 99"):
        model.explain(X, rows=[100])
    with pytest.raises(ValueError, match="curve=True needs y"):
        model.explain(X, curve=True)


def test_several_numbers_and_several_labels() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    numbers = Regressor(hidden=4, epochs=3, random_state=0).fit(x, x[:, :2])
    labels = Classifier(hidden=4, epochs=3, random_state=0).fit(x, (x[:, :2] > 0).astype(int))
    assert numbers.explain(x, x[:, :2]).outputs == ("y1", "y2")
    found = labels.explain(x, (x[:, :2] > 0).astype(int))
    assert found.outputs == ("p(0)", "p(1)") and "column 1" in found.page


@pytest.mark.parametrize("more", [[], ["--holdout", "0.25"]])
def test_the_command_explains_a_fit(more: list[str], tmp_path: Path, capfd: Any) -> None:
    X, y = flats()
    X.assign(price=y, code=y).to_csv(tmp_path / "t.csv", index=False)
    file = tmp_path / "e.html"
    quick = ["--hidden", "8", "--epochs", "5", "--quiet"]
    assert main(["fit", str(tmp_path / "t.csv"), "--target", "price", "--html", str(file), *quick, *more]) == 0
    page = file.read_text(encoding="utf-8")
    assert re.search(r"code alone explains (99.\d|100.0)% of the target", page) and "Would more rows help?" in page
    assert ("held out with --holdout" in page) == bool(more)
    assert ("Drift since" in page) == bool(more)


def test_the_command_explains_predictions(tmp_path: Path, capfd: Any) -> None:
    X, y = flats()
    data, saved, file = tmp_path / "t.csv", str(tmp_path / "m"), tmp_path / "e.html"
    X.assign(price=y).to_csv(data, index=False)
    quick = ["--hidden", "8", "--epochs", "5", "--quiet"]
    assert main(["fit", str(data), "--target", "price", "--model", saved, *quick]) == 0
    assert main(["predict", saved, str(data), "--html", str(file), "-o", str(tmp_path / "out.csv")]) == 0
    page = file.read_text(encoding="utf-8")
    assert "rise of the log loss" in page and "<h2>Errors</h2>" in page and "Confusion matrix" in page
    assert "No column clearly differs from the training rows." in page
    X.assign(kind="old").to_csv(data, index=False)
    assert main(["predict", saved, str(data), "--html", str(file), "-o", str(tmp_path / "out.csv")]) == 0
    page = file.read_text(encoding="utf-8")
    assert "change of the predictions" in page and "Columns that differ from the training rows: 'kind'." in page


def test_an_unwritable_page_is_one_line(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    assert main(["fit", str(tmp_path / "t.csv"), "--target", "y", "--html", str(tmp_path / "none" / "e.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_groups_stay_apart_in_the_learning_curve(tmp_path: Path, capfd: Any) -> None:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(20), 15)
    of_group = rng.normal(size=(20, 3))
    x = of_group[who] + 0.01 * rng.normal(size=(300, 3))
    table = pd.DataFrame(x, columns=list("abc")).assign(who=who, y=rng.normal(size=20)[who])
    table.to_csv(tmp_path / "t.csv", index=False)
    command = ["fit", str(tmp_path / "t.csv"), "--target", "y", "--hidden", "16", "--epochs", "40", "--quiet", "--html"]
    losses = []
    for more in (["--drop", "who"], ["--group", "who"]):
        assert main([*command, str(tmp_path / "e.html"), *more]) == 0
        page = (tmp_path / "e.html").read_text(encoding="utf-8")
        losses.append(float(re.search(r"held-out unexplained variance ([\d.e-]+)</title>", page).group(1)))
    assert losses[1] > 3 * losses[0]
