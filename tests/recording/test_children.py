"""Processes that a recorded script starts: those that train are recorded, the rest is as it is without us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole import SURROUNDINGS
from unstuck.recording.children import SIGNAL, Children, is_launcher
from unstuck.recording.ranks import Meeting
from unstuck.recording.script import Target
from unstuck.tape.files import load
from unstuck.tape.model import Tape

STEP = """
def steps(count):
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    net = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(count):
        loss = net(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return round(loss.item(), 6)
"""

PROCESS = f"""
import multiprocessing, sys
import torch
{STEP}
def train(queue):
    queue.put(steps(12))
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    process = context.Process(target=train, args=(queue,))
    process.start()
    print("loss", queue.get())
    process.join()
    print(process.exitcode, sorted(k for k in vars(process) if "unstuck" in k))
"""

WORKERS = f"""
import torch
from torch.overrides import _get_current_function_mode
from torch.utils.data import DataLoader, Dataset
from torch.optim.optimizer import _global_optimizer_pre_hooks
{STEP}
class Rows(Dataset):
    def __len__(self):
        return 16
    def __getitem__(self, at):
        steps(1)  # a worker that trains is not the script's training
        print(_get_current_function_mode(), len(_global_optimizer_pre_hooks), flush=True)
        return torch.ones(4)
if __name__ == "__main__":
    for _ in DataLoader(Rows(), batch_size=16, num_workers=1, multiprocessing_context="fork"):
        print(steps(7))
"""

RANKS = f"""
import os, time
import torch
import torch.distributed as dist
import torch.multiprocessing
{STEP}
def rank(number, store):
    dist.init_process_group("gloo", init_method="file://" + store, rank=number, world_size=2)
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 1)
    rows = torch.randn(64, 4) + number
    model = torch.nn.parallel.DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    while True:  # the budget ends both, at the same step
        loss = model(rows).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        time.sleep(0.01 * number)
if __name__ == "__main__":
    torch.multiprocessing.spawn(rank, (os.path.abspath("store"),), nprocs=2)
    open("after", "w").write("the script went on")
"""


def _recorded(folder: Path, text: str, *args: str, options: tuple[str, ...] = ()) -> tuple[Tape, str]:
    (folder / "train.py").write_text(text)
    plain = [sys.executable, "train.py", *args]
    command = [sys.executable, "-m", "unstuck.recording", "--out", "tape", *options, "--", "train.py", *args]
    said = []
    for words in (command,) if options else (plain, command):
        done = subprocess.run(
            words, cwd=folder, env={**os.environ, **SURROUNDINGS}, capture_output=True, text=True, timeout=120
        )
        said.append((done.returncode, done.stdout, done.stderr))
    assert said[0] == said[-1]
    assert not (folder / "tape.ranks").exists()
    return load(folder / "tape"), said[-1][1]


@pytest.mark.net
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_process_that_trains_is_recorded_in_its_place(start: str, tmp_path: Path) -> None:
    tape, said = _recorded(tmp_path, PROCESS, start)
    assert said.splitlines()[1] == "0 []"
    assert (tape.steps, len(tape.passes), tape.script) == (12, 12, "train.py")
    assert "train.py" in tape.sources


@pytest.mark.net
def test_a_forked_worker_carries_no_hook_of_ours_and_is_not_recorded(tmp_path: Path) -> None:
    tape, said = _recorded(tmp_path, WORKERS)
    assert said.splitlines()[:1] == ["None 0"]
    assert tape.steps == 7


@pytest.mark.net
@pytest.mark.skipif(not SIGNAL, reason="the system has no realtime signals")
def test_ranks_stop_at_one_step_and_the_script_that_waits_for_them_ends(tmp_path: Path) -> None:
    tape, _ = _recorded(tmp_path, RANKS, options=("--seconds", "0.3", "--least", "0", "--longest", "0.6"))
    assert (tape.stopped, tape.facts.ranks) == ("budget", (2, 2, 2))
    assert tape.passes
    assert not (tmp_path / "after").exists()


def test_what_a_script_can_see_of_its_processes_is_left_as_it_was(tmp_path: Path) -> None:
    before = subprocess.Popen._execute_child  # type: ignore[attr-defined]
    children = _attached(tmp_path)
    try:
        words = [sys.executable, "-c", "print(1)"]
        done = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert done.communicate()[0].strip() == b"1"
        assert done.args == words
    finally:
        children.detach()
    assert subprocess.Popen._execute_child is before  # type: ignore[attr-defined]
    assert children.named == []


def test_python_scripts_are_named_and_ranks_recorded(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text("import sys\nprint(sys.argv[1:], sys.orig_argv[1:], len(sys.modules) < 400)\n")
    ranked = {**os.environ, "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    words = [sys.executable, "-u", str(script), "a"]
    children = _attached(tmp_path)
    try:
        named = subprocess.run(words, capture_output=True, text=True)
        recorded = subprocess.run(words, env=ranked, capture_output=True, text=True)
    finally:
        children.detach()
    assert named.stdout.rpartition(" ")[0] == recorded.stdout.rpartition(" ")[0]
    assert named.stdout.rpartition(" ")[2] == "True\n"
    assert children.named == ["child.py"]
    assert len(children.meeting.others()) == 1


@pytest.mark.skipif(not SIGNAL, reason="the system has no realtime signals")
def test_children_that_stop_at_once_stop_the_script_once(tmp_path: Path) -> None:
    said: list[str] = []
    children = _attached(tmp_path, spent=lambda: said.append("stop"), keep=True)
    try:
        for number in ("111111111", "111111112"):  # above the largest number of a process
            (tmp_path / "ranks" / number).mkdir(parents=True)
        for _ in range(2):
            signal.raise_signal(SIGNAL)
        assert said == ["stop"]
        (tmp_path / "ranks" / "111111113").mkdir()
        signal.raise_signal(SIGNAL)
        assert said == ["stop", "stop"]
        children.detach()
        (tmp_path / "ranks" / "111111114").mkdir()
        signal.raise_signal(SIGNAL)
        assert said == ["stop", "stop"]
    finally:
        children.detach()
        signal.signal(SIGNAL, signal.SIG_DFL)


def _attached(folder: Path, spent: Callable[[], None] = lambda: None, keep: bool = False) -> Children:
    children = Children(Meeting(folder / "ranks"), (), folder, launcher=False)
    children.attach(spent)
    if SIGNAL and not keep:
        signal.signal(SIGNAL, signal.SIG_DFL)
    return children


def test_an_installed_module_that_starts_scripts_is_a_launcher(tmp_path: Path) -> None:
    assert is_launcher(Target(None, "torch.distributed.run"))
    assert is_launcher(Target(str(Path(sys.executable).parent / "torchrun"), None))
    (tmp_path / "train.py").touch()
    assert not is_launcher(Target(str(tmp_path / "train.py"), None))
    assert not is_launcher(Target(None, "no.such.module"))
