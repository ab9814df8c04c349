"""The boosted stage: trees as arrays, and where they join the blend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from unstuck import Classifier, Regressor
from unstuck.tabular.fit.boosting import arrays_of
from unstuck.tabular.fit.persistence import load, save
from unstuck.tabular.fit.store import ModelError, read, write

Array = np.ndarray


def jumps(rows: int, seed: int = 0) -> tuple[Array, Array]:
    """Numbers that jump at thresholds, (rows, 5) and (rows,)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(rows, 5))
    y = 2.0 * (x[:, 0] > 0.37) + 3 * (x[:, 1] > 0.63) * (x[:, 2] > 0.41) + 0.1 * rng.normal(size=rows)
    return x, y


@pytest.fixture(scope="module")
def fitted() -> Regressor:
    x, y = jumps(500)
    return Regressor(random_state=0).fit(x, y)


class TestArrays:
    @pytest.mark.parametrize("classes", [0, 2, 3])
    @pytest.mark.parametrize("gaps", [False, True])
    def test_predictions_are_those_of_scikit_learn(self, classes: int, gaps: bool) -> None:
        rng = np.random.default_rng(classes)
        x = rng.normal(size=(700, 4))
        x[:, 3] = np.round(x[:, 3])
        y = x[:, 0] * x[:, 1] + (x[:, 2] > 0.3) + 0.1 * rng.normal(size=700)
        if gaps:
            x[rng.random(x.shape) < 0.1] = np.nan
        if classes:
            y = np.searchsorted(np.quantile(y, np.arange(1, classes) / classes), y)
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        own = kind(max_iter=30, random_state=0).fit(x[:400], y[:400])
        new = np.concatenate([x, rng.normal(0, 10, (50, 4)), np.full((1, 4), np.nan)])
        found = arrays_of([own], np.arange(1 if classes < 3 else classes), np.ravel(own._baseline_prediction)).raw(new)
        truth = own.decision_function(new) if classes else own.predict(new)
        assert np.abs(found[0] - truth.reshape(len(new), -1)).max() < 1e-6

    def test_the_first_trees_are_those_of_a_shorter_training(self) -> None:
        x, y = jumps(400)
        long, short = (HistGradientBoostingRegressor(max_iter=n, random_state=0).fit(x, y) for n in (20, 7))
        trees = arrays_of([long], np.arange(1), np.ravel(long._baseline_prediction)).first(7)
        assert np.abs(trees.raw(x)[0, :, 0] - short.predict(x)).max() < 1e-6


class TestBlend:
    def test_trees_join_where_the_target_jumps(self, fitted: Regressor) -> None:
        assert any(stage.trees is not None for stage in fitted.model_.stages)
        x, y = jumps(1000, seed=1)
        assert fitted.score(x, y) > 0.97

    def test_trees_stay_out_of_a_line(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(400, 3))
        model = Regressor(random_state=0).fit(x, x @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=400))
        assert all(stage.trees is None for stage in model.model_.stages)

    @pytest.mark.parametrize("labels", [2, 3])
    def test_classes_may_be_missing_in_a_lane(self, labels: int) -> None:
        x, y = jumps(400)
        y = np.where(y > 1.5, "high", "low").astype(object)
        if labels == 3:
            y[:2] = "rare"
        p = Classifier(random_state=0).fit(x, y).predict_proba(x)
        assert p.shape == (400, labels) and np.allclose(p.sum(axis=1), 1) and np.isfinite(p).all()

    @pytest.mark.parametrize("scale", [-1e9, 1e-6])
    def test_units_leave_no_trace(self, fitted: Regressor, scale: float) -> None:
        x, y = jumps(500)
        other = Regressor(random_state=0).fit(x * scale + 3 * scale, y)
        new = jumps(100, seed=2)[0]
        assert (other.predict(new * scale + 3 * scale) == fitted.predict(new)).all()

    def test_trees_come_back_from_a_file(self, fitted: Regressor, tmp_path: Path) -> None:
        save(fitted, tmp_path / "m")
        x = jumps(300, seed=3)[0]
        assert (load(tmp_path / "m").predict(x) == fitted.predict(x)).all()

    @pytest.mark.parametrize("name", ["feature", "children", "place", "value", "roots"])
    def test_damaged_trees_are_refused(self, fitted: Regressor, tmp_path: Path, name: str) -> None:
        save(fitted, tmp_path / "m")
        head, arrays = read(tmp_path / "m")
        key = next(key for key in arrays if key.startswith("trees.") and key.endswith("." + name))
        wrong = arrays[key].copy()
        wrong.ravel()[0 if name != "place" else -1] = 99 if name != "value" else np.nan
        write(tmp_path / "m", head, arrays | {key: wrong})
        with pytest.raises(ModelError):
            load(tmp_path / "m")

    def test_training_goes_on_beside_trees(self, fitted: Regressor) -> None:
        x, y = jumps(500)
        model = replace(fitted.model_, unseen=None)
        more = Regressor(warm_start=True, random_state=0, epochs=2).fit(x[:300], y[:300])
        before = len(model.stages)
        more.partial_fit(x[300:], y[300:])
        assert before and np.isfinite(more.predict(x)).all()
        assert np.isfinite(more.fit(x, y).predict(x)).all()


class TestManyRows:
    def test_noise_gets_no_larger_networks(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(5200, 3))
        model = Regressor(random_state=0).fit(x, x[:, 0] + rng.normal(size=5200))
        assert all(stage.shape.hidden in ((), (32,)) for stage in model.model_.stages)
        assert any("no structure" in note for note in model.notes_)

    @pytest.mark.net
    def test_a_chequerboard_does(self) -> None:
        rng = np.random.default_rng(1)
        x = rng.uniform(-2, 2, size=(5200, 3))
        y = (np.floor(x[:, 0]) + np.floor(x[:, 1])) % 2
        model = Classifier(random_state=0).fit(x[:5100], y[:5100])
        assert not any("no structure" in note for note in model.notes_)
        assert model.score(x[5100:], y[5100:]) > 0.9
