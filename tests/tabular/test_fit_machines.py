"""A fit on several processes: the same bits whatever runs them."""

from __future__ import annotations

import joblib
import numpy as np

from unstuck import Classifier, Regressor
from unstuck.tabular.fit.resources import Resources

Array = np.ndarray


def chequered(rows: int = 400) -> tuple[Array, Array]:
    """A table where larger stages and trees join."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, (rows, 4)).astype(float)
    return x, np.where((x[:, 0] % 2 > 0) ^ (x[:, 1] % 3 > 1), 3.0, x[:, 2] % 2) + 0.05 * rng.normal(size=rows)


class TestBackends:
    def test_other_processes_leave_no_trace(self) -> None:
        x, y = chequered()
        one = Regressor(epochs=1, random_state=0).fit(x, y)
        with joblib.parallel_config("loky", n_jobs=2):
            two = Regressor(epochs=1, random_state=0).fit(x, y)
        assert any(stage.trees is not None for stage in one.model_.stages)
        np.testing.assert_array_equal(two.predict(x), one.predict(x))
        assert two.loss_curve_ == one.loss_curve_ and two.scores_ == one.scores_

    def test_a_time_limit_holds_in_other_processes(self) -> None:
        x, y = chequered()
        with joblib.parallel_config("loky", n_jobs=2):
            model = Classifier(random_state=0, time_limit=2.0).fit(x, y > 2)
        assert model.score(x, y > 2) > 0.6

    def test_one_process_is_the_default(self) -> None:
        assert not Resources().parallel
        with joblib.parallel_config("loky", n_jobs=2):
            assert Resources().parallel and not Resources().alone.parallel
