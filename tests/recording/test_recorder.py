"""Recording changes nothing of the person's run, and the tape holds their training step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.recorded import Record
from tests.styles import FAITHFUL, HEAD, STYLES
from tests.whole import some
from unstuck.recording.tracer import Tracer
from unstuck.replay.bench import Bench, as_written
from unstuck.replay.cost import Manner
from unstuck.replay.lanes import starts
from unstuck.replay.run import LaneRun, course_of
from unstuck.tape.files import load
from unstuck.tape.program import Outside


@pytest.mark.parametrize("style", some(STYLES))
def test_a_recorded_run_prints_what_python_prints(style: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(STYLES[style])
    plain = _ran(tmp_path, "train.py")
    recorded = _ran(tmp_path, "-m", "unstuck.recording", "--out", "tape", "--", "train.py")
    assert recorded == plain
    assert (plain[0] != 0) == (style == "fails")
    tape = load(tmp_path / "tape")
    assert not tape.notes
    assert tape.passes


def _ran(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("manner", ["at once", "one by one"])
@pytest.mark.parametrize("style", FAITHFUL)
def test_the_replay_of_a_run_has_its_losses(style: str, manner: Manner, record: Record) -> None:
    tape = record(STYLES[style])
    bench = Bench(tape)
    assert bench.why == ""
    course = course_of(tape, tape.passes, bench.main, bench.yardstick, bench.task)
    trial = as_written(tape)
    run = LaneRun(trial, course, starts(trial.start, trial.holders, 3), torch.ones(3), manner=manner)
    result = run.to(len(tape.passes))
    recorded = [p.loss for p in tape.passes if p.program == bench.main]
    replayed = torch.stack(result.losses)[:, 0].tolist()
    rough = 2e-2 if style == "autocast" else 1e-5
    assert replayed == pytest.approx(recorded, rel=rough)


def test_the_program_holds_the_calls_of_a_step_with_their_lines(record: Record) -> None:
    tape = record(STYLES["module"])
    (number,) = {p.program for p in tape.passes}
    program = tape.programs[number]
    assert [c.name for c in program.calls] == [
        "linear",
        "relu",
        "linear",
        "squeeze",
        "binary_cross_entropy_with_logits",
    ]
    text = STYLES["module"].splitlines()
    assert all("self.b(torch.relu(self.a(x)))" in text[c.site.line - 1] for c in program.calls[:3] if c.site)
    assert program.calls[0].refs()[0] == Outside(0)
    assert [p.name for p in tape.parameters] == ["net.a.weight", "net.a.bias", "net.b.weight", "net.b.bias"]


def test_hand_written_descent_is_recognised(record: Record) -> None:
    tape = record(STYLES["raw tensors"])
    (optimizer,) = tape.optimizers
    assert optimizer.name == "by hand"
    assert optimizer.ours
    assert tape.updates[0].rates == pytest.approx((0.1,), rel=1e-4)
    assert [p.name for p in tape.parameters] == ["W1", "b1", "W2"]


def test_a_printed_line_has_the_place_of_the_evaluation_before_it(record: Record) -> None:
    text = (
        STYLES["module"]
        + """
for part in (slice(0, 30), slice(30, 64)):
    with torch.no_grad():
        right = ((net(x[part]) > 0) == (y[part] > 0)).float().mean().item()
    print("no number here")
    print("12 %\\r34 %", end="\\r")
    print(f"accuracy {right:.4f}")
"""
    )
    tape = record(text)
    first, second = tape.said[-2:]
    assert (second.evaluations - first.evaluations, second.seen - first.seen) == (1, 1)
    assert first.site is not None
    assert "print" in text.splitlines()[first.site.line - 1]
    assert first.line.startswith("accuracy 0.")
    assert not [s for s in tape.said if "no number" in s.line or "34" in s.line]
    assert tape.tensors[tape.evaluations[-1].output].shape == (34,)


def test_graphs_that_are_kept_are_counted(record: Record) -> None:
    text = STYLES["module"].replace("for ", "kept = []\nfor ", 1)
    freed = record(text).facts.graphs
    assert freed.most <= 2
    loop = """
for step in range(40):
    loss = (net(x) - y).square().mean()
    loss.backward()
    kept.append(loss)
"""
    held = record(text + loop).facts.graphs
    assert held.most >= 20


def test_clipping_and_accumulation_are_seen(record: Record) -> None:
    clipped = record(STYLES["float64"])
    assert clipped.optimizers[0].clip == pytest.approx(0.05, rel=1e-3)
    accumulated = record(STYLES["accumulation"])
    assert [bool(p.stale) for p in accumulated.passes] == [False, True] * 5
    assert len(accumulated.updates) == 5


def test_validation_passes_are_kept_apart_from_training(record: Record) -> None:
    tape = record(STYLES["phases"])
    assert len(tape.passes) == len(tape.evaluations) == 5
    assert [e.after for e in tape.evaluations] == [1, 2, 3, 4, 5]


def test_a_failing_script_leaves_its_steps_and_its_error(record: Record) -> None:
    tape = record(STYLES["fails"])
    assert tape.stopped.startswith("script failed: IndexError")
    assert tape.steps == 2
    assert tape.error is not None


def test_the_budget_of_steps_ends_the_script(record: Record) -> None:
    endless = HEAD + STYLES["module"].partition(HEAD)[2].replace("range(5)", "iter(int, 1)")
    tape = record(endless, steps=7)
    assert (tape.stopped, tape.steps) == ("budget", 7)


def test_a_script_that_catches_everything_is_asked_to_stop_three_times(record: Record) -> None:
    body = STYLES["module"].partition("for step")
    stubborn = (
        body[0]
        + "for step in range(30):\n    try:\n"
        + "".join(f"        {line.strip()}\n" for line in body[2].splitlines()[1:-1]).replace("step * 8", "0")
        + "    except BaseException:\n        pass\n"
    )
    tape = record(stubborn, steps=5)
    assert tape.steps == 30


def test_tensors_of_the_person_are_never_written(record: Record) -> None:
    script = STYLES["module"] + "\nassert x.equal(before), 'changed'\n"
    script = script.replace("y = (x", "before = x.clone()\ny = (x")
    assert record(script).stopped == "script ended"


def test_calls_that_do_not_fit_between_two_backwards_are_noted(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.recording.tracer.LONGEST", 20)
    tape = record(STYLES["module"] + "for _ in range(10):\n    net(x)\n")
    assert tape.notes == ("not recorded: the first 20 torch calls of a stretch without a backward",)
    assert len(tape.passes) == 5


def test_an_error_of_the_recorder_is_a_note_and_the_script_goes_on(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no room\nat all")

    monkeypatch.setattr("unstuck.recording.full_steps.FullSteps.open", broken)
    tape = record(STYLES["module"])
    assert tape.stopped == "script ended"
    assert tape.notes == ("recording error: RuntimeError: no room (a training step was not recorded)",)


def test_values_that_change_their_class_stay_the_same_values(record: Record) -> None:
    """As fastai's do: torch tells no function mode of `as_subclass`."""
    script = STYLES["module"].replace(".squeeze(1)", ".as_subclass(Own).squeeze(1)")
    assert script != STYLES["module"]
    tape = record("import torch\nclass Own(torch.Tensor):\n    pass\n" + script)
    assert {step.error for step in tape.passes} == {""}
    names = [call.function for call in tape.programs[0].calls]
    assert "torch.Tensor.view_as" in names and "torch.nn.functional.linear" in names
    assert tape.losses == record(STYLES["module"]).losses


def test_a_rollout_that_an_update_reads_is_data_to_it(record: Record) -> None:
    script = """
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters())
seen, values = torch.zeros(200, 4, 3), torch.zeros(200, 4)
for epoch in range(2):
    for step in range(200):
        seen[step] = torch.randn(4, 3)
        with torch.no_grad():
            values[step] = net(seen[step]).flatten()
    for batch in range(3):
        rows = torch.randint(200, (16,))
        loss = ((net(seen[rows]).squeeze(-1) - values[rows] - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
    tape = record(script)
    assert len(tape.passes) == 6
    assert max(len(program.calls) for program in tape.programs if program.loss >= 0) < 20


def test_a_kernel_of_one_number_in_channels_last_is_recorded(record: Record) -> None:
    script = STYLES["module"].replace(
        "net = Net()", "net = Net()\nnet.c = nn.Conv2d(64, 1, 1).to(memory_format=torch.channels_last)"
    )
    script = script.replace(
        "    optimizer.zero_grad()",
        "    loss = loss + net.c(torch.ones(1, 64, 2, 2)).mean()\n    optimizer.zero_grad()",
    )
    assert script.count("net.c") == 2
    tape = record(script)
    assert (len(tape.passes), tape.notes) == (5, ())


def test_a_long_evaluation_is_kept_without_all_that_it_made(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    script = STYLES["module"] + "with torch.no_grad():\n    for _ in range(60):\n        net(torch.randn(64, 6))\n"
    usual = record(script)
    monkeypatch.setattr("unstuck.recording.tracer.HELD", 20_000)
    longest = []
    keep = Tracer.keep
    monkeypatch.setattr(Tracer, "keep", lambda self, rest: (longest.append(len(self.entries)), keep(self, rest))[1])
    tape = record(script)
    assert max(longest) < 50
    assert (len(tape.evaluations), tape.notes) == (len(usual.evaluations), ()) == (60, ())


@pytest.mark.parametrize(("seeding", "seeded"), [("torch.manual_seed(0)", True), ("pass", False)])
def test_whether_the_script_sets_a_seed_is_recorded(seeding: str, seeded: bool, record: Record) -> None:
    text = f"""
import torch

{seeding}
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(3):
    optimizer.zero_grad()
    model(torch.ones(4, 2)).mean().backward()
    optimizer.step()
"""
    assert record(text).facts.seeded is seeded
