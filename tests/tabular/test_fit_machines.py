"""A fit on several processes and machines: the same model whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest

from unstuck import Classifier, Regressor
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import Checkpoint
from unstuck.tabular.fit.machines.local import Local
from unstuck.tabular.fit.machines.training import learn_spread
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.resources import Resources
from unstuck.tabular.fit.statistics import Chunk, Seen, statistics

Array = np.ndarray


def chequered(rows: int = 400) -> tuple[Array, Array]:
    """A table where larger stages and trees join."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, (rows, 4)).astype(float)
    return x, np.where((x[:, 0] % 2 > 0) ^ (x[:, 1] % 3 > 1), 3.0, x[:, 2] % 2) + 0.05 * rng.normal(size=rows)


class TestBackends:
    @pytest.mark.net
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


def table(kind: str, rows: int = 3000) -> tuple[Callable[[], Iterator[Chunk]], bool, Frame]:
    """A table in chunks of 100 rows, whether its target holds classes, and its inputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)) * [1, 1e4, 1, 1e-3] + [0, 5e4, 0, 0]
    x[rng.random(x.shape) < 0.02] = np.nan
    words = rng.choice(["red", "green", "blue", "grey"], rows)
    told = np.nan_to_num(x[:, 0]) + (words == "red") - np.nan_to_num(x[:, 2]) ** 2
    y = {
        "numbers": (3e6 * told + 1e9)[:, None],
        "two classes": np.where(told + rng.normal(size=rows) > 0, "up", "down"),
        "five classes": np.digitize(told, [-2, -1, 0, 1]),
    }[kind]
    w = rng.integers(1, 4, rows).astype(float) if kind == "five classes" else None
    parts = [slice(at, at + 100) for at in range(0, rows, 100)]
    frame = Frame(x, (list(words),))
    own = [Chunk(Frame(x[p], (list(words[p]),)), y[p], None if w is None else w[p]) for p in parts]
    return lambda: iter(own), kind != "numbers", frame


TABLES = ("numbers", "two classes", "five classes")
SHORT = Options(hidden=(16,), epochs=6, lanes=2, rate=0.01, batch=64)
ROOM = 40_000
"""Several slabs."""


class TestSpread:
    @pytest.mark.parametrize("kind", TABLES)
    def test_two_workers_equal_one(self, kind: str) -> None:
        chunks, classes, frame = table(kind)
        one, two, five = (
            learn_spread(Local(chunks, workers), classes, SHORT, room=ROOM).answers(frame) for workers in (1, 2, 5)
        )
        scale = np.abs(one).max()
        np.testing.assert_allclose(two / scale, one / scale, atol=1e-6)
        np.testing.assert_allclose(five / scale, one / scale, atol=1e-6)

    def test_it_learns(self) -> None:
        chunks, classes, frame = table("two classes", 6000)
        y = np.concatenate([chunk.y for chunk in chunks()])
        model = learn_spread(Local(chunks, 3), classes, Options(hidden=(32,), epochs=30, lanes=2, batch=32), room=ROOM)
        right = model.task.labels[model.answers(frame).argmax(axis=1)] == y  # type: ignore[union-attr]
        assert right.mean() > 0.75
        assert any("read by 3 workers" in note for note in model.notes)

    @pytest.mark.parametrize("kind", TABLES)
    def test_statistics_of_parts_are_those_of_the_whole(self, kind: str) -> None:
        chunks, classes, frame = table(kind)
        parts = [Seen(classes), Seen(classes), Seen(classes)]
        for number, chunk in enumerate(chunks()):
            parts[number % 2].add(chunk, 100 * number)
        for other in parts[1:]:
            parts[0].merge(other)
        whole, merged = statistics(chunks, classes), parts[0].statistics()
        assert whole.encoder.words == merged.encoder.words and whole.rows == merged.rows
        for views in (("smooth",), ("normal", "steps")):
            np.testing.assert_array_equal(whole.encoder.encode(frame, views), merged.encoder.encode(frame, views))
        np.testing.assert_array_equal(whole.sample.y, merged.sample.y)

    def test_an_interrupted_training_goes_on_from_its_checkpoint(self, tmp_path: Path) -> None:
        chunks, classes, frame = table("numbers")
        whole = learn_spread(Local(chunks, 2), classes, SHORT, room=ROOM).answers(frame)

        def stopping(_, now) -> None:
            if len(now.curve) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learn_spread(Local(chunks, 2), classes, SHORT, stopping, Checkpoint(tmp_path, "this", 0.0), ROOM)
        again = learn_spread(Local(chunks, 2), classes, SHORT, None, Checkpoint(tmp_path, "this", 0.0), ROOM)
        np.testing.assert_array_equal(again.answers(frame), whole)
