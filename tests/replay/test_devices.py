"""Replay on the device where the script trained: every experiment, on a pretended device, against the CPU's results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.recorded import tape_of
from unstuck.replay import devices
from unstuck.replay.bench import Bench
from unstuck.replay.devices import device_of
from unstuck.replay.extent import extent
from unstuck.tape.model import Tape

SMALL = """
import torch
from torch import nn
torch.manual_seed(0)
x = 40 * torch.randn(300, 6) + 300
y = (x[:, 0] > 300).{kind}()
net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, {outputs}))
optimizer = torch.optim.{optimizer}(net.parameters(), lr=1e-4)
for step in range(45):
    rows = torch.arange(step, step + 32)
    optimizer.zero_grad()
    loss = nn.functional.{loss}(net(x[rows]){squeeze}, y[rows])
    loss.backward()
    optimizer.step()
"""
CLASSES = SMALL.format(kind="long", outputs=2, optimizer="Adam", loss="cross_entropy", squeeze="")
NUMBERS = SMALL.format(kind="float", outputs=1, optimizer="SGD", loss="mse_loss", squeeze=".squeeze(1)")
THERE = """
import json, sys
from pathlib import Path
from tests.pretended_device import NAME, pretended
with pretended(): pass  # before the first backward: autograd counts its devices only then
import msgspec
import torch
from tests.recorded import tape_of
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.replay import devices, stacked
from unstuck.replay.bench import Bench
from unstuck.replay.resample import resampled

tape = tape_of(Path(sys.argv[1]).read_text(), Path(sys.argv[2]))
units = StandardiseInputs.of(tape.programs[0], tape.programs[0].calls[0].args[0].slot, (300.0,) * 6, (40.0,) * 6)

def shown(device):
    bench = Bench(msgspec.structs.replace(tape, facts=msgspec.structs.replace(tape.facts, device=device)))
    assert bench.why == "", bench.why
    assert bench.trial.device == device
    arms = (bench.written, bench.treat((units,)), bench.treat((units,), 0.4))
    resample = resampled("mixed", bench)
    return {
        "arms": [a.skill().tolist() for a in arms], "losses": torch.stack(arms[1].losses)[-1].tolist(),
        "sweep": bench.sweep().skills, "mixed": [resample.before, resample.after],
    }

here = shown("cpu")
devices.FAST, devices.room = (NAME,), lambda device: None if device == "cpu" else 2**30
stacked.TRACES = 0  # a trace would hold the pretended tensors' results for constants
devices.present, devices.count = (lambda kind: True), (lambda kind: 1)
with pretended() as device:
    print(json.dumps([here, shown(device)]))
"""


def on_both(text: str, folder: Path) -> list[dict[str, list[float]]]:
    (folder / "text.py").write_text(text)
    command = [sys.executable, "-c", THERE, str(folder / "text.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return msgspec.json.decode(done.stdout.splitlines()[-1])


def flat(tree: object) -> list[float]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [x for part in tree for x in flat(part)] if isinstance(tree, list) else [float(tree)]  # type: ignore[arg-type]


@pytest.mark.net
@pytest.mark.parametrize("text", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_experiments_on_a_device_have_the_cpus_results(text: str, tmp_path: Path) -> None:
    here, there = on_both(text, tmp_path)
    assert flat(there) == pytest.approx(flat(here), rel=1e-4, abs=1e-5)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return tape_of(CLASSES, tmp_path_factory.mktemp("cpu"))


def on(tape: Tape, device: str) -> Tape:
    return msgspec.structs.replace(tape, facts=msgspec.structs.replace(tape.facts, device=device))


def test_the_tape_says_where_the_script_trained(tape: Tape) -> None:
    assert tape.facts.device == "cpu"
    assert tape.facts.memory > 2**24


@pytest.mark.parametrize("device", ["cpu", "mps:0", "xla:1"])
def test_a_device_that_is_not_here_is_replaced_by_the_cpu(tape: Tape, device: str) -> None:
    assert device_of(on(tape, device)) == "cpu"
    assert Bench(on(tape, device)).why == ""


def test_another_device_of_the_same_type_takes_the_place_of_one_that_is_not_here(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "present", lambda kind: kind == "cuda")
    monkeypatch.setattr(devices, "count", lambda kind: 2)
    assert device_of(on(tape, "cuda:1")) == "cuda:1"
    assert device_of(on(tape, "cuda:5")) == "cuda:0"
    assert device_of(on(tape, "xpu:0")) == "cpu"


def test_lanes_are_as_many_as_fit_into_a_devices_memory(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    def lanes(free: int) -> int:
        monkeypatch.setattr(devices, "room", lambda device: free)
        found = extent(tape, 2.0, "cuda:0")
        return 0 if found.why else found.lanes

    held = [lanes(free) for free in (2**30, 14_000, 100)]
    assert held[0] == 8
    assert held[1] in (3, 4)
    assert held[2] == 0
