"""Quantiles and absolute errors as losses, and conformal prediction intervals: coverage, units, files, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import beta
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_absolute_error, mean_pinball_loss

from unstuck import Classifier, Regressor, cli
from unstuck.tabular.fit.conformal import MOST, Conformal
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.persistence import load, save
from unstuck.tabular.fit.pinball import Pinball
from unstuck.tabular.fit.statistics import Chunk
from unstuck.tabular.fit.stream import learn_streamed

Array = np.ndarray


def skewed(rows: int, seed: int = 0) -> tuple[Array, Array]:
    """x (n, 3) and a target whose noise has a long tail upwards, longer for larger x."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 3))
    return x, 2 * x[:, 0] + (1.5 + x[:, 1]) * rng.exponential(size=rows)


class TestLoss:
    @pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
    def test_slopes_are_those_of_autograd(self, level: float) -> None:
        rng = np.random.default_rng(0)
        z, y = rng.normal(size=(2, 2, 9, 2)).astype(np.float32)
        loss = Pinball(2, (level, 1 - level))
        there = torch.tensor(z, requires_grad=True)
        off, q = torch.tensor(y) - there, torch.tensor(loss.levels)
        torch.maximum(q * off, (q - 1) * off).sum().backward()
        assert there.grad is not None
        np.testing.assert_allclose(loss.slope(z.copy(), y), there.grad.numpy(), atol=1e-6)

    @pytest.mark.parametrize("level", [0.1, 0.9])
    @pytest.mark.parametrize(
        ("sign", "how"),
        [(1.0, {"hidden": 16}), (-1.0, {"hidden": 16}), pytest.param(1.0, {}, marks=pytest.mark.net)],
        ids=["up", "down", "whole"],
    )
    def test_a_quantile_is_exceeded_as_often_as_it_says(self, level: float, sign: float, how: dict) -> None:
        (x, y), (new, truth) = skewed(1500), skewed(4000, 1)
        model = Regressor(loss=f"quantile:{level}", epochs=20, random_state=0, **how).fit(x, sign * y)
        assert np.mean(sign * truth <= model.predict(new)) == pytest.approx(level, abs=0.035)
        line = QuantileRegressor(quantile=level, alpha=0.0).fit(x, sign * y)
        own, other = (mean_pinball_loss(sign * truth, one.predict(new), alpha=level) for one in (model, line))
        assert own < 1.03 * other

    def test_absolute_errors_are_lower_than_with_squares(self) -> None:
        (x, y), (new, truth) = skewed(1500), skewed(4000, 1)
        how = {"hidden": 16, "epochs": 15, "random_state": 0}
        median, mean = (Regressor(loss=loss, **how).fit(x, y).predict(new) for loss in ("absolute", "squared"))
        assert mean_absolute_error(truth, median) < 0.97 * mean_absolute_error(truth, mean)

    def test_scores_name_the_loss(self) -> None:
        x, y = skewed(300)
        score = Regressor(loss="quantile:0.8", hidden=8, epochs=5, random_state=0).fit(x, y).scores_
        assert [one.name for one in score[:2]] == ["pinball loss", "targets up to the prediction"]
        assert score[0].model < score[0].constant
        assert 0.6 < score[1].model < 0.95 and score[1].constant == 0.8
        assert Regressor(loss="absolute", hidden=8, epochs=2).fit(x, y).scores_[0].name == "mean absolute error"

    def test_units_leave_no_trace(self) -> None:
        x, y = skewed(200)
        other, how = -1e6 * x + 3, {"epochs": 1, "random_state": 0}
        here = Regressor(loss="quantile:0.9", **how).fit(x, y).predict(x)
        there = Regressor(loss="quantile:0.1", **how).fit(other, -1e9 * y + 5).predict(other)
        np.testing.assert_allclose((there - 5) / -1e9, here, atol=1e-6)

    def test_a_module_learns_it_too(self) -> None:
        x, y = skewed(600)
        net = lambda inputs, outputs: torch.nn.Linear(inputs, outputs)
        model = Regressor(module=net, loss="quantile:0.9", epochs=40, learning_rate=0.03, random_state=0).fit(x, y)
        assert np.mean(y <= model.predict(x)) == pytest.approx(0.9, abs=0.06)

    def test_it_is_kept_in_files_and_streams(self, tmp_path: Path) -> None:
        x, y = skewed(600)
        model = Regressor(loss="quantile:0.9", epochs=1, random_state=0).fit(x, y)
        save(model, tmp_path / "m")
        again = load(tmp_path / "m")
        assert again.loss == "quantile:0.9"
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
        np.testing.assert_array_equal(again.predict_interval(x), model.predict_interval(x))
        chunks = lambda: iter([Chunk(Frame(x), y[:, None])])
        streamed = learn_streamed(chunks, False, Options(hidden=(16,), epochs=15, batch=32), quantile=0.9)
        assert np.mean(y <= streamed.answers(Frame(x))[:, 0]) == pytest.approx(0.9, abs=0.06)
        assert streamed.conformal is not None

    @pytest.mark.parametrize("loss", ["quantile", "quantile:1", "quantile:x", "huber", None])
    def test_other_losses_are_refused(self, loss) -> None:
        with pytest.raises(ValueError, match="loss must be squared, absolute or quantile:Q"):
            Regressor(loss=loss).fit(*skewed(40))


def covering(rows: int, level: float, share: float) -> float:
    """The share that the coverage falls below with this probability, by Vovk's bound for so many held-out rows."""
    out = int((1 - level) * (rows + 1) / 2) * 2
    return float(beta.ppf(share, rows + 1 - out, out))


class TestCoverage:
    @pytest.mark.parametrize("level", [0.8, 0.95])
    def test_new_targets_are_covered_as_often_as_promised(self, level: float) -> None:
        x, y = skewed(800)
        new, truth = skewed(20_000, 1)
        model = Regressor(hidden=16, epochs=20, random_state=0).fit(x, y)
        low, high = model.predict_interval(new, level).T
        found = np.mean((low <= truth) & (truth <= high))
        noise = 3 * (level * (1 - level) / len(truth)) ** 0.5
        rows = len(model.model_.unseen.rows)
        assert covering(rows, level, 0.001) - noise <= found <= covering(rows, level, 0.999) + noise + 0.01

    def test_skewed_errors_have_skewed_intervals(self) -> None:
        x, y = skewed(600)
        model = Regressor(hidden=16, epochs=20, random_state=0).fit(x, y)
        below, above = np.abs(model.predict_interval(x[:1], 0.9)[0] - model.predict(x[:1]))
        assert above > 1.5 * below

    def test_many_errors_are_thinned_on_the_safe_side(self) -> None:
        errors = np.sort(np.random.default_rng(0).normal(size=50_000))[:, None]
        thin = Conformal.of(errors)
        assert len(thin.errors) == MOST and thin.valid
        for level in (0.5, 0.9, 0.99, 0.999):
            low, high = thin.offsets(level)
            covered = np.mean((low <= errors) & (errors <= high))
            assert level <= covered < level + 4 / MOST

    def test_weights_are_rows(self) -> None:
        errors, counts = np.array([[3.0], [-1.0], [2.0]]), np.array([1.0, 3.0, 2.0])
        np.testing.assert_array_equal(Conformal.of(errors, counts).errors[:, 0], [-1, -1, -1, 2, 2, 3])

    def test_several_targets_have_an_interval_each(self) -> None:
        x, y = skewed(200)
        found = Regressor(hidden=8, epochs=3, random_state=0).fit(x, np.c_[y, 1e6 * y]).predict_interval(x)
        assert found.shape == (200, 2, 2)
        assert (found[:, :, 0] < found[:, :, 1]).all()

    def test_where_they_do_not_apply_they_are_refused(self) -> None:
        x, y = skewed(60)
        model = Regressor(epochs=3, random_state=0).fit(x, y)
        with pytest.raises(ValueError, match="needs 199 held-out rows; this model has"):
            model.predict_interval(x, 0.99)
        with pytest.raises(ValueError, match="between 0 and 1"):
            model.predict_interval(x, 1.5)
        with pytest.raises(ValueError, match="none"):
            model.partial_fit(x, y).predict_interval(x)
        with pytest.raises(ValueError, match="none"):
            Regressor(epochs=1).fit(x[:5], y[:5]).predict_interval(x)
        assert not hasattr(Classifier(), "predict_interval")


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        x, y = skewed(300)
        sort = np.where(y > 2, "high", "low")
        lines = [",".join(map(str, row)) for row in (*zip(*x.T, y, sort, strict=True),)]
        Path("t.csv").write_text("\n".join(["a,b,c,y,sort", *lines]), encoding="utf-8")

    def test_intervals_are_columns(self, capsys) -> None:
        words = ["fit", "t.csv", "--target", "y", "--drop", "sort", "--epochs", "3", "--hidden", "8", "--json", "j"]
        assert cli.main([*words, "--loss", "absolute", "--model", "m"]) == 0
        found = json.loads(Path("j").read_text(encoding="utf-8"))
        assert found["judged"][0]["scores"][0]["name"] == "mean absolute error"
        assert cli.main(["predict", "m", "t.csv", "--interval", "0.9", "--keep", "y", "-o", "p.csv"]) == 0
        with Path("p.csv").open(encoding="utf-8") as file:
            rows = [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
        assert list(rows[0]) == ["y", "prediction", "lower", "upper"]
        assert np.mean([row["lower"] <= row["y"] <= row["upper"] for row in rows]) > 0.85
        capsys.readouterr()
        assert cli.main(["predict", "m", "t.csv", "--interval", "0.999"]) == 2
        assert "needs 1,999 held-out rows" in capsys.readouterr().err

    def test_classes_have_neither(self, capsys) -> None:
        words = ["fit", "t.csv", "--target", "sort", "--drop", "y", "--epochs", "2", "--hidden", "4"]
        assert cli.main([*words, "--loss", "absolute"]) == 2
        assert "--loss is for numbers: this task is binary" in capsys.readouterr().err
        assert cli.main([*words, "--model", "m"]) == 0
        capsys.readouterr()
        assert cli.main(["predict", "m", "t.csv", "--interval", "0.9"]) == 2
        assert "m predicts classes: --interval is for numbers" in capsys.readouterr().err
