"""A local cluster of Ray: the model of one process, workers that die, the command, and joblib's backends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from tests.tabular.test_fit_machines import ROOM, SHORT, TABLES, chequered, table
from unstuck import Regressor, cli
from unstuck.tabular.fit import size
from unstuck.tabular.fit.machines.local import Local
from unstuck.tabular.fit.machines.training import learn_spread

pytestmark = pytest.mark.machines


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.parametrize("kind", TABLES)
def test_two_workers_give_the_predictions_of_one_process(ray: Any, kind: str) -> None:
    from unstuck.tabular.fit.machines.rayed import Actors

    chunks, classes, frame = table(kind)
    actors = Actors(chunks, 2)
    two = learn_spread(actors, classes, SHORT, room=ROOM).answers(frame)
    actors.close()
    one = learn_spread(Local(chunks, 1), classes, SHORT, room=ROOM).answers(frame)
    np.testing.assert_allclose(two / np.abs(one).max(), one / np.abs(one).max(), atol=1e-6)


def test_a_worker_that_is_killed_costs_time_only(ray: Any) -> None:
    from unstuck.tabular.fit.machines.rayed import Actors

    chunks, classes, frame = table("numbers")
    actors, killed = Actors(chunks, 2), []

    def killing(_, now: Any) -> None:
        if len(now.curve) == 2:
            ray.kill(actors.parts[0])
            killed.append(actors.parts[0])

    found = learn_spread(actors, classes, SHORT, killing, room=ROOM).answers(frame)
    assert actors.parts[0] is not killed[0]
    actors.close()
    expected = learn_spread(Local(chunks, 2), classes, SHORT, room=ROOM).answers(frame)
    np.testing.assert_array_equal(found, expected)


def written(folder: Path, rows: int = 2500) -> list[str]:
    x, y = chequered(rows)
    np.savetxt(folder / "t.csv", np.c_[x, y], delimiter=",", header="a,b,c,d,y", comments="")
    return ["fit", "t.csv", "--target", "y", "--epochs", "3", "--quiet"]


def test_the_command_in_memory_gives_the_bits_of_one_process(ray: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words = written(tmp_path, 600)
    assert cli.main([*words, "--model", "one"]) == 0
    assert cli.main([*words, "--model", "two", "--ray", "local:2"]) == 0
    assert Path("one").read_bytes() == Path("two").read_bytes()


def test_the_command_beyond_memory_spreads_the_rows(ray: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(size, "MOST", 1.0)
    words = written(tmp_path)
    assert cli.main([*words[:-1], "--model", "m", "--ray", "local:2"]) == 0
    assert "rows were read by 2 workers" in capsys.readouterr().out
    assert cli.main(["predict", "m", "t.csv", "-o", "p.csv"]) == 0


def test_a_table_and_its_checkpoint_in_python(ray: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from unstuck.tabular.fit.machines.entry import fit_table
    from unstuck.tabular.tables import read

    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    own = read("t.csv")
    one = fit_table(own, ["y"], options=SHORT, checkpoint=tmp_path / "shared", room=ROOM)
    assert list((tmp_path / "shared").glob("*.safetensors"))
    again = fit_table(own, ["y"], options=SHORT, checkpoint=tmp_path / "shared", room=ROOM)
    for a, b in zip(one.stages, again.stages, strict=True):
        np.testing.assert_array_equal(a.flat, b.flat)


def test_a_task_whose_process_is_killed_is_repeated(ray: Any, tmp_path: Path) -> None:
    from unstuck.tabular.fit.machines.rayed import Tasks

    mark = tmp_path / "tried"

    def task() -> int:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 7

    assert Tasks().each([task, lambda: 8]) == [7, 8]


def test_a_process_that_is_killed_while_it_computes_is_replaced(ray: Any) -> None:
    from unstuck.tabular.fit.machines.rayed import Actors

    chunks, classes, frame = table("two classes")
    actors = Actors(chunks, 2)
    pid = ray.get(actors.parts[1].process.remote())
    timer = threading.Timer(0.5, lambda: os.kill(pid, signal.SIGKILL))
    timer.start()
    began = time.monotonic()
    found = learn_spread(actors, classes, SHORT, room=ROOM).answers(frame)
    timer.join()
    assert time.monotonic() - began > 0.5
    actors.close()
    np.testing.assert_array_equal(found, learn_spread(Local(chunks, 2), classes, SHORT, room=ROOM).answers(frame))


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_joblibs_backends_leave_no_trace(ray: Any, backend: str) -> None:
    x, y = chequered()
    one = Regressor(epochs=1, random_state=0).fit(x, y)
    if backend == "ray":
        from ray.util.joblib import register_ray

        register_ray()
        with joblib.parallel_config("ray", n_jobs=2):
            two = Regressor(epochs=1, random_state=0).fit(x, y)
    else:
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster),
            joblib.parallel_config("dask", n_jobs=2),
        ):
            two = Regressor(epochs=1, random_state=0).fit(x, y)
    np.testing.assert_array_equal(two.predict(x), one.predict(x))
