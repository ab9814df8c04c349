"""Tables that a network easily gets wrong: equal rows, more rows, tails, noise. Through the public faces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, r2_score

from unstuck import Classifier, Regressor, cli
from unstuck.tabular.fit.persistence import load, save

Array = np.ndarray


def two_columns(rows: int, seed: int) -> tuple[Array, Array]:
    """Four distinct inputs, whose rows differ in their class."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (rows, 2)).astype(float)
    return x, (rng.random(rows) < 1 / (1 + np.exp(2 - 3 * x[:, 0] - x[:, 1]))).astype(int)


def tailed(rows: int, seed: int) -> tuple[Array, Array]:
    """A line under noise, over a column whose variance is infinite."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(2, (rows, 1))
    return x, x[:, 0] + 0.3 * rng.normal(size=rows)


class TestEqualRows:
    def test_few_distinct_rows_are_learned_as_well_as_by_logistic_regression(self) -> None:
        (x, y), (new, truth) = two_columns(1000, 0), two_columns(4000, 1)
        own = log_loss(truth, Classifier(random_state=0).fit(x, y).predict_proba(new))
        assert own < log_loss(truth, LogisticRegression().fit(x, y).predict_proba(new)) + 0.005
        assert own < log_loss(truth, DummyClassifier().fit(x, y).predict_proba(new)) - 0.1

    def test_weights_are_numbers_of_rows_where_rows_are_divided(self) -> None:
        x, y = two_columns(300, 0)
        cells, counts = np.unique(np.c_[x, y], axis=0, return_counts=True)
        repeated = Classifier(epochs=3, random_state=0).fit(x, y).predict_proba(x)
        weighed = Classifier(epochs=3, random_state=0).fit(cells[:, :2], cells[:, 2].astype(int), counts)
        np.testing.assert_array_equal(weighed.predict_proba(x), repeated)

    def test_copies_of_a_row_are_held_out_together(self) -> None:
        rng = np.random.default_rng(0)
        x = np.repeat(rng.normal(size=(150, 3)), 4, axis=0)
        noise = np.repeat(rng.integers(0, 2, 150), 4)
        unseen = Classifier(hidden=64, epochs=60, random_state=0).fit(x, noise).model_.unseen
        assert unseen is not None
        assert abs((unseen.answers.argmax(1) == noise[unseen.rows]).mean() - 0.5) < 0.15

    def test_the_report_counts_distinct_rows(self, tmp_path: Path, monkeypatch, capsys) -> None:
        monkeypatch.chdir(tmp_path)
        x, y = two_columns(200, 0)
        lines = [f"{a:g},{b:g},{'yes' if c else 'no'}" for (a, b), c in zip(x, y, strict=True)]
        Path("t.csv").write_text("\n".join(["a,b,y", *lines]), encoding="utf-8")
        assert cli.main(["fit", "t.csv", "--target", "y", "--epochs", "3", "--json", "t.json"]) == 0
        assert "200 rows, 4 of them distinct" in capsys.readouterr().out
        found = json.loads(Path("t.json").read_text(encoding="utf-8"))
        assert (found["rows"], found["distinct"]) == (200, 4)
        assert found["judged"][0]["rows"] == 200


class TestMoreRows:
    @pytest.mark.net
    def test_a_table_just_above_the_limit_gets_larger_networks_too(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, (7200, 4))
        y = 4 * x[:, 0] + np.sin(6 * x[:, 1]) + 2 * x[:, 2] * x[:, 3]
        scores = [Regressor(epochs=8, random_state=0).fit(x[:n], y[:n]).score(x[5200:], y[5200:]) for n in (4900, 5200)]
        assert scores[1] > scores[0] - 0.002

    def test_no_two_stages_are_equal(self) -> None:
        x, y = two_columns(300, 0)
        x = np.c_[x, np.random.default_rng(0).normal(size=300)]
        flats = [stage.flat for stage in Classifier(epochs=20, random_state=0).fit(x, y).model_.stages]
        for i, one in enumerate(flats):
            assert not any(one.shape == other.shape and np.array_equal(one, other) for other in flats[:i])


class TestTails:
    def test_a_line_stays_a_line_far_out(self) -> None:
        (x, y), (new, truth) = tailed(1000, 0), tailed(4000, 1)
        own = Regressor(random_state=0).fit(x, y).predict(new)
        assert r2_score(truth, own) > r2_score(truth, LinearRegression().fit(x, y).predict(new)) - 0.01

    def test_predictions_are_capped_far_outside_of_the_targets(self, tmp_path: Path) -> None:
        x, y = tailed(300, 0)
        model = Regressor(epochs=5, random_state=0).fit(x, y)
        far = model.predict(np.array([[-1e30], [1e30]]))
        width = y.max() - y.min()
        np.testing.assert_allclose(far, [y.min() - 10 * width, y.max() + 10 * width], rtol=1e-3)
        save(model, tmp_path / "m")
        np.testing.assert_array_equal(load(tmp_path / "m").predict(x), model.predict(x))
        np.testing.assert_array_equal(load(tmp_path / "m").predict(far[:, None] * 1e9), far)

    @pytest.mark.parametrize("scale", [-1e9, 1e-7])
    def test_units_leave_no_trace(self, scale: float) -> None:
        x, y = tailed(200, 0)
        here = Regressor(epochs=3, random_state=0).fit(x, y).predict(x)
        there = Regressor(epochs=3, random_state=0).fit(scale * x + 3 * scale, y).predict(scale * x + 3 * scale)
        np.testing.assert_array_equal(there, here)
        other = Regressor(epochs=3, random_state=0).fit(x, scale * y + scale).predict(x)
        np.testing.assert_allclose(other / scale - 1, here, atol=1e-5 * y.std())

    def test_training_goes_on_with_a_linear_stage(self) -> None:
        x, y = tailed(300, 0)
        model = Regressor(epochs=4, warm_start=True, random_state=0).fit(x, y)
        assert model.fit(x, y).score(x, y) > 0.98
        assert Regressor(epochs=4, random_state=0).fit(x, y).partial_fit(x, y).score(x, y) > 0.98


class TestFloors:
    def test_noise_is_not_clearly_better_than_a_constant(self) -> None:
        rng = np.random.default_rng(0)
        model = Classifier(epochs=10, random_state=0).fit(rng.normal(size=(300, 4)), rng.integers(0, 2, 300))
        assert any("not clearly better than a constant" in note for note in model.notes_)

    @pytest.mark.parametrize("how", [{}, {"hidden": 8}], ids=["ensemble", "one"])
    def test_a_line_is_not_clearly_better_than_a_linear_model(self, how) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(300, 3))
        model = Regressor(epochs=10, random_state=0, **how).fit(x, x.sum(axis=1) + rng.normal(size=300))
        assert any("not clearly better than a linear model" in note for note in model.notes_)

    def test_a_curve_is(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(400, 2))
        notes = Regressor(epochs=30, random_state=0).fit(x, x[:, 0] * x[:, 1]).notes_
        assert not any("not clearly better" in note for note in notes)

    def test_the_report_shows_a_linear_model(self, tmp_path: Path, monkeypatch, capsys) -> None:
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 2))
        lines = [f"{a},{b},{a + b + 0.1 * c}" for (a, b), c in zip(x, rng.normal(size=200), strict=True)]
        Path("t.csv").write_text("\n".join(["a,b,y", *lines]), encoding="utf-8")
        words = ["fit", "t.csv", "--target", "y", "--epochs", "3", "--holdout", "0.2", "--json", "t.json"]
        assert cli.main(words) == 0
        assert "linear: a linear model" in capsys.readouterr().out
        for judged in json.loads(Path("t.json").read_text(encoding="utf-8"))["judged"]:
            assert judged["scores"][0]["linear"] > 0.98


def worded(words: int, each: int, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Words with an effect each, on rows to train on and on 1,000 new ones."""
    rng = np.random.default_rng(seed)
    at = np.concatenate([rng.permutation(np.repeat(np.arange(words), each)), rng.integers(0, words, 1000)])
    x = np.array([f"w{i}" for i in at], object)[:, None]
    y = rng.normal(size=words)[at] + 0.33 * rng.normal(size=len(at))
    n = words * each
    return x[:n], y[:n], x[n:], y[n:]


class TestManyWords:
    @pytest.mark.net
    def test_every_word_counts(self) -> None:
        x, y, new, truth = worded(200, 20)
        assert Regressor(epochs=5, random_state=0).fit(x, y).score(new, truth) > 0.85

    def test_words_that_say_nothing_do_no_harm(self) -> None:
        x, _, new, _ = worded(300, 3)
        rng = np.random.default_rng(1)
        model = Regressor(epochs=5, random_state=0).fit(x, rng.normal(size=len(x)))
        assert model.score(new, rng.normal(size=len(new))) > -0.03
        assert any("not clearly better than a constant" in note for note in model.notes_)

    @pytest.mark.net
    def test_classes_and_words_meet(self, tmp_path: Path) -> None:
        x, y, new, truth = worded(150, 20)
        y, truth = np.digitize(y, [-0.5, 0.5]), np.digitize(truth, [-0.5, 0.5])
        model = Classifier(epochs=5, random_state=0).fit(x, y)
        assert model.score(new, truth) > 0.7
        save(model, tmp_path / "m")
        np.testing.assert_array_equal(load(tmp_path / "m").predict_proba(new), model.predict_proba(new))
        assert np.isfinite(model.predict_proba(np.array([["never seen"], [None]], object))).all()

    @pytest.mark.net
    def test_the_targets_units_and_weights_leave_no_trace(self) -> None:
        x, y, new, _ = worded(60, 4)
        here = Regressor(epochs=2, random_state=0).fit(x, y).predict(new)
        other = Regressor(epochs=2, random_state=0).fit(x, -1e6 * y + 3e6).predict(new)
        np.testing.assert_allclose((3e6 - other) / 1e6, here, atol=1e-6)
        w = np.random.default_rng(0).integers(1, 4, len(x))
        weighed = Regressor(epochs=2, random_state=0).fit(x, y, w).predict(new)
        repeated = Regressor(epochs=2, random_state=0).fit(np.repeat(x, w, axis=0), np.repeat(y, w)).predict(new)
        np.testing.assert_allclose(repeated, weighed, atol=1e-12)

    def test_missing_words_are_not_counted_as_rare_ones(self, tmp_path: Path, monkeypatch, capsys) -> None:
        monkeypatch.chdir(tmp_path)
        rows = [f"w{i % 130},{i % 7}" for i in range(390)] + ["," + str(i % 7) for i in range(390)]
        Path("t.csv").write_text("\n".join(["word,y", *rows]), encoding="utf-8")
        words = ["fit", "t.csv", "--target", "y", "--task", "regression", "--epochs", "2", "--json", "t.json"]
        assert cli.main(words) == 0
        notes = json.loads(Path("t.json").read_text(encoding="utf-8"))["notes"]
        assert any("the others, 2% of the words in the rows" in note for note in notes)
