"""The order of clear, backward and step where no text shows it: a trainer class, an optimizer made in another file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import whole
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.pipeline import Options, diagnose
from unstuck.remedies.treatment import Treatment
from unstuck.signals.source import started
from unstuck.tape.files import load

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)

    def configure_optimizers(self, config):
        groups = [{"params": [p for p in self.parameters() if p.dim() > 1]},
                  {"params": [p for p in self.parameters() if p.dim() < 2], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=config["rate"])
        return optimizer
"""
TRAINER = """
import torch
from torch import nn

try:
    import transformers
except ImportError:
    transformers = None


class Trainer:
    def __init__(self, config, model, data):
        self.config, self.model, self.data = config, model, data
        self.optimizer = None
        self.callbacks = []

    def trigger(self):
        for callback in self.callbacks:
            callback(self)

    def run(self):
        model, config = self.model, self.config
        self.optimizer = model.configure_optimizers(config)
        x, y = self.data
        model.train()
        self.iter_num = 0
        while True:
            rows = torch.randint(len(x), (config["batch"],))
            self.loss = nn.functional.mse_loss(model(x[rows]), y[rows])
{body}
            self.trigger()
            self.iter_num += 1
            if config["most"] is not None and self.iter_num >= config["most"]:
                break
"""
SCRIPT = """
import torch
from model import Net
from trainer import Trainer

torch.manual_seed(0)
x = torch.randn(400, 4)
y = torch.sin(x[:, :1]) - x[:, 1:2]
trainer = Trainer({"rate": 0.01, "batch": 40, "most": 200}, Net(), (x, y))
trainer.callbacks.append(lambda t: print(t.iter_num, t.loss.item()) if t.iter_num % 20 == 0 else None)
trainer.run()
"""
CLEAR, BACKWARD, STEP = "model.zero_grad(set_to_none=True)", "self.loss.backward()", "self.optimizer.step()"
CLIP = "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"


def program(folder: Path, *body: str) -> Path:
    """A trainer whose loop holds these statements."""
    folder.mkdir()
    lines = "\n".join(" " * 12 + line for line in body)
    texts = {"train.py": SCRIPT, "model.py": MODEL, "trainer.py": TRAINER.replace("{body}", lines)}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def line_of(found: Finding, folder: Path) -> str:
    """The line that a finding names, which is one of the trainer's."""
    assert found.site is not None and found.site.file == "trainer.py"
    return (folder / "trainer.py").read_text().splitlines()[found.site.line - 1].strip()


def learns(folder: Path) -> None:
    """The trainer is in the right order now, with its clipping where it belongs, and its run learns."""
    lines = [line.strip() for line in (folder / "trainer.py").read_text().splitlines()]
    clears = [n for n, line in enumerate(lines) if "zero_grad" in line]
    assert len(clears) == 1 and clears[0] < lines.index(BACKWARD)
    assert lines[lines.index(BACKWARD) + 1 :][:2] in ([CLIP, STEP], [STEP, "self.trigger()"])
    assert whole.skill(folder) > 0.9


@pytest.mark.parametrize(
    ("fault", "at", "body"),
    [
        ("no-step", STEP, (CLEAR, STEP, BACKWARD, CLIP)),
        pytest.param("no-step", STEP, (BACKWARD, CLEAR, CLIP, STEP), marks=pytest.mark.net),
        pytest.param("no-step", STEP, (BACKWARD, CLEAR.replace("True", "False"), STEP), marks=pytest.mark.net),
        pytest.param("no-step", STEP, (BACKWARD, "self.optimizer.zero_grad()", STEP), marks=pytest.mark.net),
        pytest.param("no-step", BACKWARD, (CLEAR, BACKWARD), marks=pytest.mark.net),
        ("no-zero-grad", BACKWARD, (BACKWARD, STEP)),
    ],
)
def test_the_run_tells_the_line_and_the_patch_mends_it(
    tmp_path: Path, fault: str, at: str, body: tuple[str, ...]
) -> None:
    folder = program(tmp_path / "it", *body)
    tape = load(whole.record(folder))
    found = examine(Readings(tape))[0]
    (told,) = (f for f in found if f.fault == fault)
    assert line_of(told, folder) == at
    (remedy,) = told.remedies
    assert isinstance(remedy, Treatment)
    for name, text in remedy.edit(started(tape)).files.items():
        (folder / name).write_text(text)
    learns(folder)


@pytest.mark.net
def test_the_patch_of_the_whole_pipeline_mends_it(tmp_path: Path) -> None:
    folder = program(tmp_path / "it", CLEAR, STEP, BACKWARD, CLIP)
    found = whole.Whole(folder, diagnose(whole.record(folder), Options(prove=True)))
    (told,) = (f for f in found.diagnosis.causes if f.fault == "no-step")
    assert line_of(told, folder) == STEP
    learns(found.patched())


@pytest.mark.net
def test_a_trainer_in_the_right_order_is_silent(tmp_path: Path) -> None:
    found = examine(Readings(load(whole.record(program(tmp_path / "it", CLEAR, BACKWARD, CLIP, STEP)))))[0]
    assert not {f.fault for f in found} & {"no-step", "no-zero-grad"}
