"""Time limits and threads of a fit."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from unstuck import Classifier, Regressor, cli
from unstuck.tabular.fit.batches import InMemory, Rows, Split
from unstuck.tabular.fit.loss import Squares
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.train import Plan, Shape, train

Array = np.ndarray


def waves(rows: int) -> tuple[Array, Array]:
    """A table that is worth long trainings, (rows, 6) and (rows,)."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (rows, 6))
    return x, np.sin(6 * x[:, 0]) * x[:, 1] + np.abs(x[:, 2]) + 0.05 * rng.normal(size=rows)


class TestTime:
    @pytest.mark.net
    def test_a_limit_shortens_the_training_and_leaves_a_model(self) -> None:
        x, y = waves(4000)
        whole = Regressor(random_state=0, time_limit=1e6).fit(x[:400], y[:400])
        same = Regressor(random_state=0).fit(x[:400], y[:400])
        assert (whole.predict(x) == same.predict(x)).all()
        short = Regressor(random_state=0, time_limit=0.05).fit(x, y)
        assert any("time was over" in note for note in short.notes_)
        assert np.isfinite(short.predict(x)).all()

    def test_a_stage_ends_in_the_middle_of_an_epoch(self) -> None:
        x, y = waves(4000)
        rows = Rows(with_one(x.astype(np.float32)), y.astype(np.float32)[:, None])
        at = np.arange(4000)[None]
        batches = InMemory(rows, Split(at[:, :3000], at[:, 3000:]), 3, 0)
        plan = Plan(Shape(hidden=(8,)), 1, 3, 50, 50, 0.01)
        done = train(batches, Squares(1), plan, lambda now: None, until=time.monotonic())
        assert done.adam.steps == 0 and len(done.curve) == 1

    def test_the_command_takes_minutes(self, tmp_path: Path, monkeypatch, capsys) -> None:
        monkeypatch.chdir(tmp_path)
        x, y = waves(300)
        np.savetxt("t.csv", np.c_[x, y], delimiter=",", header="a,b,c,d,e,f,y", comments="")
        assert cli.main(["fit", "t.csv", "--target", "y", "--minutes", "0.0001"]) == 0
        assert "time was over" in capsys.readouterr().out

    @pytest.mark.parametrize("wrong", [{"time_limit": 0}, {"time_limit": "1"}, {"n_jobs": 0}, {"n_jobs": 1.5}])
    def test_wrong_limits_are_named(self, wrong: dict) -> None:
        x, y = waves(40)
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Regressor(**wrong).fit(x, y)


def test_threads_leave_no_trace() -> None:
    x, y = waves(300)
    label = y > 0.5
    one, two = (Classifier(random_state=0, n_jobs=jobs).fit(x, label) for jobs in (1, 2))
    assert (one.predict_proba(x) == two.predict_proba(x)).all()
    assert one.loss_curve_ == two.loss_curve_
