"""Where optimizers and layers are constructed, and which settings files the run reads."""

from __future__ import annotations

from pathlib import Path

from tests.recorded import Record
from unstuck.recording.settings_read import SettingsRead

SCRIPT = """
import json
import torch
from torch import nn

settings = json.load(open("settings.json"))


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(4, width)
        self.outer = nn.Linear(width, 1)

    def forward(self, x):
        return self.outer(torch.relu(self.inner(x)))


def built(kind, weights, **options):
    return getattr(torch.optim, kind)(weights, **options)


model = Net(8)
nn.init.normal_(model.inner.weight, std=3.0)
model.outer.bias.data.fill_(2.0)
optimizer = built("SGD", model.parameters(), lr=settings["lr"])
for _ in range(3):
    optimizer.zero_grad()
    model(torch.randn(5, 4)).square().mean().backward()
    optimizer.step()
"""


def test_the_line_of_a_construction_is_on_the_tape(record: Record, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"lr": 0.5}')
    tape = record(SCRIPT)
    line = lambda text: next(n for n, row in enumerate(SCRIPT.splitlines(), 1) if text in row)
    assert tape.optimizers[0].made is not None
    assert tape.optimizers[0].made.line == line("getattr(")
    made = {p.name: p.made.line for p in tape.parameters if p.made is not None}
    assert made["model.inner.weight"] == line("nn.Linear(4, width)")
    assert made["model.outer.bias"] == line("nn.Linear(width, 1)")
    valued = {p.name: p.valued.line for p in tape.parameters if p.valued is not None}
    assert valued["model.inner.weight"] == line("nn.init.normal_")
    assert valued["model.outer.bias"] == line("fill_(2.0)")
    assert valued["model.inner.bias"] == line("nn.Linear(4, width)")
    assert tape.sources["settings.json"] == '{"lr": 0.5}'
    assert not tape.notes


def test_only_small_settings_files_that_are_read_are_kept(tmp_path: Path) -> None:
    inside = tmp_path / "project"
    inside.mkdir()
    listener = SettingsRead(inside)
    listener.attach()
    (tmp_path / "outside.json").write_text("{}")
    (inside / "written.json").write_text("{}")
    (inside / "large.json").write_text(" " * 70_000)
    (inside / "read.yaml").write_text("lr: 1")
    (inside / "bytes.ini").write_bytes(b"\xff\xfe")
    for path in ("outside.json", "project/large.json", "project/read.yaml", "project/bytes.ini"):
        (tmp_path / path).read_bytes()
    listener.detach()
    (inside / "late.toml").write_text("a = 1")
    (inside / "late.toml").read_text()
    assert listener.texts == {"read.yaml": "lr: 1"}
