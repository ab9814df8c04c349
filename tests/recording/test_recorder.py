"""Recording changes nothing of the person's run, and what it leaves is their training step."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.recorded import tape_of
from tests.styles import FAITHFUL, HEAD, STYLES
from unstuck.replay.bench import Bench, as_written
from unstuck.replay.lanes import starts
from unstuck.replay.run import course_of, play
from unstuck.tape.files import TapeError, load, save
from unstuck.tape.program import Outside


@pytest.mark.parametrize("style", STYLES)
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


@pytest.mark.parametrize("style", FAITHFUL)
def test_the_replay_of_a_run_has_its_losses(style: str, tmp_path: Path) -> None:
    tape = tape_of(STYLES[style], tmp_path)
    bench = Bench(tape)
    assert bench.why == ""
    course = course_of(tape, tape.passes, bench.main, bench.yardstick, bench.task)
    trial = as_written(tape)
    played = play(trial, course, starts(trial.start, set(trial.holders), 3), torch.ones(3))
    recorded = [p.loss for p in tape.passes if p.program == bench.main]
    replayed = torch.stack(played.losses)[:, 0].tolist()
    rough = 2e-2 if style == "autocast" else 1e-5
    assert replayed == pytest.approx(recorded, rel=rough)


def test_the_program_is_the_persons_step_line_by_line(tmp_path: Path) -> None:
    tape = tape_of(STYLES["module"], tmp_path)
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


def test_hand_written_descent_is_recognised(tmp_path: Path) -> None:
    tape = tape_of(STYLES["raw tensors"], tmp_path)
    (optimizer,) = tape.optimizers
    assert optimizer.name == "by hand"
    assert optimizer.ours
    assert tape.updates[0].rates == pytest.approx((0.1,), rel=1e-4)
    assert [p.name for p in tape.parameters] == ["W1", "b1", "W2"]


def test_what_is_printed_stands_beside_the_forwards_it_follows(tmp_path: Path) -> None:
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
    tape = tape_of(text, tmp_path)
    first, second = tape.said[-2:]
    assert (second.evaluations - first.evaluations, second.seen - first.seen) == (1, 1)
    assert first.site is not None
    assert "print" in text.splitlines()[first.site.line - 1]
    assert first.line.startswith("accuracy 0.")
    assert not [s for s in tape.said if "no number" in s.line or "34" in s.line]
    assert tape.tensors[tape.evaluations[-1].output].shape == (34,)


def test_graphs_that_are_kept_are_counted(tmp_path: Path) -> None:
    text = STYLES["module"].replace("for ", "kept = []\nfor ", 1)
    freed = tape_of(text, tmp_path).facts["graphs"]
    assert freed[0] <= 2
    loop = """
for step in range(40):
    loss = (net(x) - y).square().mean()
    loss.backward()
    kept.append(loss)
"""
    held = tape_of(text + loop, tmp_path).facts["graphs"]
    assert held[0] >= 20


def test_clipping_and_accumulation_are_seen(tmp_path: Path) -> None:
    clipped = tape_of(STYLES["float64"], tmp_path)
    assert clipped.optimizers[0].clip == pytest.approx(0.05, rel=1e-3)
    accumulated = tape_of(STYLES["accumulation"], tmp_path)
    assert [bool(p.stale) for p in accumulated.passes] == [False, True] * 5
    assert len(accumulated.updates) == 5


def test_validation_passes_are_kept_apart_from_training(tmp_path: Path) -> None:
    tape = tape_of(STYLES["phases"], tmp_path)
    assert len(tape.passes) == len(tape.evaluations) == 5
    assert [e.after for e in tape.evaluations] == [1, 2, 3, 4, 5]


def test_a_failing_script_leaves_its_steps_and_its_error(tmp_path: Path) -> None:
    tape = tape_of(STYLES["fails"], tmp_path)
    assert tape.stopped.startswith("script failed: IndexError")
    assert tape.steps == 2
    assert tape.error is not None


def test_the_budget_of_steps_ends_the_script(tmp_path: Path) -> None:
    endless = HEAD + STYLES["module"].partition(HEAD)[2].replace("range(5)", "iter(int, 1)")
    tape = tape_of(endless, tmp_path, steps=7)
    assert (tape.stopped, tape.steps) == ("budget", 7)


def test_a_script_that_swallows_everything_is_asked_to_stop_a_few_times_only(tmp_path: Path) -> None:
    body = STYLES["module"].partition("for step")
    stubborn = (
        body[0]
        + "for step in range(30):\n    try:\n"
        + "".join(f"        {line.strip()}\n" for line in body[2].splitlines()[1:-1]).replace("step * 8", "0")
        + "    except BaseException:\n        pass\n"
    )
    tape = tape_of(stubborn, tmp_path, steps=5)
    assert tape.steps == 30


def test_tensors_of_the_person_are_never_written(tmp_path: Path) -> None:
    script = STYLES["module"] + "\nassert x.equal(before), 'changed'\n"
    script = script.replace("y = (x", "before = x.clone()\ny = (x")
    assert tape_of(script, tmp_path).stopped == "script ended"


@pytest.mark.parametrize("damage", ["truncate", "foreign", "missing", "empty", "other format", "hostile"])
def test_a_damaged_tape_is_one_line(damage: str, tmp_path: Path) -> None:
    tape_of(STYLES["module"], tmp_path)
    folder = tmp_path / "tape"
    file, tensors = folder / "tape.json", folder / "tensors.safetensors"
    match damage:
        case "truncate":
            tensors.write_bytes(tensors.read_bytes()[:200])
        case "foreign":
            file.write_text('{"hello": 1}')
        case "missing":
            tensors.unlink()
        case "empty":
            file.write_text("")
        case "other format":
            file.write_text(file.read_text().replace('"unstuck_tape": 1', '"unstuck_tape": 99'))
        case "hostile":
            file.write_text(file.read_text().replace('"passes": [', '"passes": [7, '))
    with pytest.raises(TapeError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_tape_can_only_name_torch_functions_that_compute(tmp_path: Path) -> None:
    tape_of(STYLES["module"], tmp_path)
    file = tmp_path / "tape" / "tape.json"
    file.write_text(file.read_text().replace("torch.nn.functional.linear", "torch.load"))
    bench = Bench(load(tmp_path / "tape"))
    assert "torch.load is not a torch function that can be replayed" in bench.why


def test_a_tape_never_replaces_anything_but_a_tape(tmp_path: Path) -> None:
    tape = tape_of(STYLES["module"], tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(TapeError):
        save(tape, mine)
    assert (mine / "thesis.txt").read_text() == "precious"


def test_infinite_losses_survive_the_disk(tmp_path: Path) -> None:
    tape = tape_of(STYLES["module"].replace("lr=0.01", "lr=float('inf')"), tmp_path)
    assert any(math.isnan(p.loss) for p in tape.passes)
