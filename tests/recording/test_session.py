"""The command starts the recording child, works meanwhile, relays signals, and passes the child's end on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unstuck.recording import session
from unstuck.recording.script import Target
from unstuck.tape.files import load
from unstuck.tape.model import Tape


def test_what_is_done_meanwhile_is_done_in_this_thread_before_the_child_ends(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    go = tmp_path / "go"
    script.write_text(f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n1 / 0\n")
    code = session.record(Target(str(script), None), tmp_path / "tape", meanwhile=lambda over: go.touch())
    assert code == 1
    assert load(tmp_path / "tape").stopped == "script failed: ZeroDivisionError: division by zero"


def test_a_child_that_leaves_no_tape_has_an_ending_in_words(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    code = session.record(Target(str(script), None), tmp_path / "tape")
    assert session.ending(code) == "script failed: killed by SIGKILL (out of memory?)"
    assert not (tmp_path / "tape").exists()


TRAINS = """
import os, signal, time, torch
net = torch.nn.Linear(4, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
step, began = 0, None

def train():
    global step, began
    loss = net(torch.ones(2, 4)).square().sum()
    opt.zero_grad(); loss.backward(); opt.step()
    began = began or time.monotonic()
    step += 1
    if step == 3:
        print("trains", flush=True)
    time.sleep(0.01)
"""
ENDLESS = """
while True:
    train()
"""
CLEANS_UP = """
try:
    while True:
        train()
finally:
    print("cleaned up", flush=True)
"""
GOES_ON = """
try:
    while True:
        train()
except KeyboardInterrupt:
    print("goes on", flush=True)
for _ in range(3):
    train()
"""
STAYS = """
signal.signal(signal.SIGINT, lambda *_: print("stays", flush=True))
while True:
    train()
"""


def start(folder: Path, script: str, *options: str) -> subprocess.Popen[str]:
    """`unstuck record`, in a process group of its own."""
    (folder / "train.py").write_text(TRAINS + script)
    return subprocess.Popen(
        [sys.executable, "-m", "unstuck", "record", "-o", "tape", *options, "train.py"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )


def until(running: subprocess.Popen[str], line: str) -> None:
    assert running.stdout is not None
    while running.stdout.readline() != line + "\n":
        assert running.poll() is None


def ended(running: subprocess.Popen[str], folder: Path) -> tuple[str, str, Tape]:
    out, err = running.communicate(timeout=100)
    return out, err, load(folder / "tape")


@pytest.mark.net
@pytest.mark.skipif(os.name != "posix", reason="signals to process groups")
@pytest.mark.parametrize("group", [True, False])
def test_an_interrupt_ends_the_script_its_own_way(group: bool, tmp_path: Path) -> None:
    """Whether it reaches the whole group, as from a terminal, or the command alone."""
    running = start(tmp_path, CLEANS_UP)
    until(running, "trains")
    os.killpg(running.pid, signal.SIGINT) if group else running.send_signal(signal.SIGINT)
    out, err, tape = ended(running, tmp_path)
    assert out == "cleaned up\n" and err.count("KeyboardInterrupt") == 1
    assert tape.facts.cut_by == "interrupt" and tape.cut and tape.steps >= 3
    assert tape.facts.command is not None and tape.facts.command.least == tape.steps


@pytest.mark.net
@pytest.mark.skipif(os.name != "posix", reason="signals to process groups")
def test_a_script_may_catch_the_interrupt_and_go_on(tmp_path: Path) -> None:
    running = start(tmp_path, GOES_ON)
    until(running, "trains")
    os.killpg(running.pid, signal.SIGINT)
    out, err, tape = ended(running, tmp_path)
    assert out == "goes on\n" and "KeyboardInterrupt" not in err
    assert tape.stopped == "script ended" and tape.facts.cut_by == "interrupt"


@pytest.mark.net
@pytest.mark.skipif(os.name != "posix", reason="signals to process groups")
def test_a_second_interrupt_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = start(tmp_path, STAYS)
    until(running, "trains")
    os.killpg(running.pid, signal.SIGINT)
    until(running, "stays")
    time.sleep(2 * session.TOGETHER)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 3 and "interrupted" in err and "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


@pytest.mark.net
@pytest.mark.skipif(os.name != "posix", reason="signals to process groups")
def test_a_script_that_is_killed_leaves_what_was_recorded(tmp_path: Path) -> None:
    kills = "while began is None or time.monotonic() < began + 3:\n    train()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    _, _, tape = ended(start(tmp_path, kills), tmp_path)
    assert tape.stopped == "script failed: killed by SIGKILL (out of memory?)"
    assert tape.facts.cut_by == "signal" and 0 < len(tape.passes) <= tape.steps
    assert {"w:net.weight", "f:net.weight"} <= tape.tensors.keys()


@pytest.mark.net
def test_termination_is_passed_on(tmp_path: Path) -> None:
    running = start(tmp_path, ENDLESS)
    until(running, "trains")
    running.terminate()
    _, err = running.communicate(timeout=100)
    assert running.returncode in (3, 256 - signal.SIGTERM) and "Traceback" not in err


@pytest.mark.net
@pytest.mark.parametrize(("options", "cut_by"), [(["--steps", "5"], "steps"), (["--seconds", "1"], "seconds")])
def test_a_budget_that_was_asked_for_ends_the_script(options: list[str], cut_by: str, tmp_path: Path) -> None:
    _, _, tape = ended(start(tmp_path, CLEANS_UP, *options), tmp_path)
    assert (tape.stopped, tape.facts.cut_by) == ("budget", cut_by)
    assert tape.steps == 5 if cut_by == "steps" else tape.steps > 0


@pytest.mark.net
def test_training_in_another_thread_is_named(tmp_path: Path) -> None:
    threaded = "import threading\nt = threading.Thread(target=train, name='trainer')\nt.start(); t.join()\n"
    _, _, tape = ended(start(tmp_path, threaded), tmp_path)
    assert any("an optimizer steps in trainer" in note for note in tape.notes) and not tape.passes
