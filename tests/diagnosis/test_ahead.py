"""What begins on a snapshot is what the diagnosis asks for; nothing begins without a spare core."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from tests.recorded import Record
from unstuck.diagnosis import ahead, cores, rerun
from unstuck.diagnosis.experiment import Rerun
from unstuck.diagnosis.pipeline import Options, diagnose
from unstuck.diagnosis.rerun import PatchedRuns
from unstuck.rules.catalogue import catalogue
from unstuck.tape.files import RUNNING, Journal, save
from unstuck.tape.model import Tape

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")


@pytest.fixture
def tape(record: Record) -> Tape:
    return record(catalogue()["input-offset"].fires)


def snapshot(tape: Tape, folder: Path) -> Path:
    """The tape as it was while its script ran."""
    facts = msgspec.structs.replace(tape.facts, trained=ahead.TRAINED)
    Journal(folder).write(msgspec.structs.replace(tape, stopped=RUNNING, facts=facts))
    return folder


def ends_after(looks: int) -> ahead.Over:
    left = iter([False] * looks)
    return lambda: next(left, True)


@pytest.mark.net
@LINUX
def test_the_rerun_that_begins_early_is_the_one_that_is_asked_for(
    tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[object] = []
    original = rerun.Child.order
    monkeypatch.setattr(rerun.Child, "order", lambda self, *a: (orders.append(a), original(self, *a))[1])
    monkeypatch.setattr(cores, "spare", lambda: frozenset([max(os.sched_getaffinity(0))]))
    mine, reruns = os.sched_getaffinity(0), PatchedRuns()
    try:
        folder = snapshot(tape, tmp_path / "running")
        late = ends_after(600)
        ahead.work(folder, Options(), lambda: bool(orders) or late(), reruns)
        assert os.sched_getaffinity(0) == mine
        save(tape, folder)
        report = diagnose(folder, reruns=reruns)
    finally:
        reruns.close()
    assert "input-offset" in {f.fault for f in report.causes}
    assert report.patch is not None and report.patch.proven
    assert sum(isinstance(e.request.means, Rerun) for e in report.log) == len(orders)


@pytest.mark.parametrize("options", [Options(), Options(prove=False)])
def test_nothing_begins_without_a_spare_core_or_experiments(
    options: Options, tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "spare", lambda: frozenset() if options.prove else frozenset([0]))
    reruns = PatchedRuns()
    ahead.work(snapshot(tape, tmp_path / "running"), options, ends_after(10), reruns)
    assert not reruns.processes


def test_never_all_cores_are_spare() -> None:
    chosen = cores.spare(0.1)
    assert not chosen or chosen < os.sched_getaffinity(0)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("x = (x - 90.03) / 2.01", "x = (x - 90.1) / 2.00", True),
        ("lr = 1e-2", "lr = 1e-3", False),
        ("x = (x - 90.03)", "y = (x - 90.03)", False),
        ("x = 1", "x = 1 + 1", False),
    ],
)
def test_patches_that_differ_by_a_little_in_numbers(one: str, other: str, near: bool) -> None:
    assert rerun.nearly({"a.py": one}, {"a.py": other}) == near
    assert not rerun.nearly({"a.py": one}, {"b.py": one})
