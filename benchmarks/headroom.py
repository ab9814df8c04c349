"""Whether the headroom's line is right: its interval against fresh rows, on 20 recorded tasks.

    python -m benchmarks.headroom

Each task is a script that trains a network for a short while. Its tape gives the headroom: the best simple learner's
score with a 95 % interval. The same learner is then trained on as many of the recorded rows and asked about rows that
neither it nor the script has seen. Writes `benchmarks/headroom.md`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.recorded import tape_of
from unstuck.diagnosis.experiment import Headroom
from unstuck.diagnosis.whole_runs import run_of
from unstuck.headroom.features import table
from unstuck.headroom.learners import LEARNERS
from unstuck.headroom.measure import FOLDS, Question, answered, interval, measured, one_thread, scored
from unstuck.headroom.rows import Part, Recorded

SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F
torch.manual_seed({seed})
{data}
torch.manual_seed(0)
model = {model}
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(4):
    for rows in torch.randperm({rows}).split(32):
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
{asked}
"""
CLASSES, VALUES = "F.cross_entropy(model(x[rows]), y[rows])", "F.mse_loss(model(x[rows]).squeeze(1), y[rows])"
ASKED = "with torch.no_grad():\n    print((model(x[{a}:{b}]).argmax(1) == y[{a}:{b}]).float().mean())"
MLP = "nn.Sequential(nn.Linear({i}, 32), nn.ReLU(), nn.Linear(32, {o}))"
FLAT = "nn.Sequential(nn.Flatten(), nn.Linear({i}, 32), nn.ReLU(), nn.Linear(32, {o}))"
BUNDLED = "from sklearn.datasets import load_{name}\nd = load_{name}()\nmix = torch.randperm(len(d.target))\n"
COLUMNS = "x = torch.tensor(d.data, dtype=torch.float32)[mix]\nx = (x - x.mean(0)) / x.std(0).clamp(min=1e-6)\n"
LABELS, NUMBERS = (
    "y = torch.tensor(d.target)[mix]",
    "y = torch.tensor(d.target, dtype=torch.float32)[mix]\ny = y / y.std()",
)
DIGITS = "x = torch.tensor(d.images, dtype=torch.float32)[mix].unsqueeze(1) / 16\n"
DRAWN = "x = torch.randn(2000, {shape})\n"
TEXT = "x = torch.randint(1, 40, (2000, 12))\nmood = torch.randn(40)\ny = (mood[x].sum(1) > 0).long()"
EMBED = "nn.Sequential(nn.Embedding(40, 8), nn.Flatten(), nn.Linear(96, 2))"
SPOTS = (
    "y = torch.randint(0, 4, (2000,))\nx = torch.randn(2000, 1, 16, 16)\n"
    "x[torch.arange(2000), 0, 3 + 8 * (y // 2), 3 + 8 * (y % 2)] += 4"
)
STRIPES = (
    "y = torch.randint(0, 2, (2000,))\nt = torch.arange(16.0)\nw = torch.sin(t + 6.28 * torch.rand(2000, 1))\n"
    "x = torch.where(y.reshape(-1, 1, 1, 1) > 0, w.reshape(-1, 1, 1, 16), w.reshape(-1, 1, 16, 1))"
    " + 0.5 * torch.randn(2000, 1, 16, 16)"
)
WAVES = (
    "y = torch.randint(0, 2, (2000,))\nt = torch.arange(30.0)\n"
    "x = torch.sin(t * (0.5 + 0.3 * y.unsqueeze(1)) + 6.28 * torch.rand(2000, 1)).unsqueeze(2)"
    " + torch.randn(2000, 30, 1)"
)


@dataclass(frozen=True)
class Case:
    """A script: its data (`x`, `y`), how many rows it trains on, and whether it evaluates the next 200."""

    name: str
    data: str
    model: str
    loss: str = CLASSES
    rows: int = 600
    asks: bool = False
    kind: str = "table"

    @property
    def script(self) -> str:
        """Its text."""
        asked = ASKED.format(a=self.rows, b=self.rows + 200) if self.asks else ""
        return SCRIPT.format(seed=7, data=self.data, model=self.model, rows=self.rows, loss=self.loss, asked=asked)


CASES = (
    Case("iris, two thirds", BUNDLED.format(name="iris") + COLUMNS + LABELS, MLP.format(i=4, o=3), rows=110),
    Case("wine, two thirds", BUNDLED.format(name="wine") + COLUMNS + LABELS, MLP.format(i=13, o=3), rows=120),
    Case("breast cancer", BUNDLED.format(name="breast_cancer") + COLUMNS + LABELS, MLP.format(i=30, o=2), rows=300),
    Case("diabetes", BUNDLED.format(name="diabetes") + COLUMNS + NUMBERS, MLP.format(i=10, o=1), VALUES, 300),
    Case("linear classes", DRAWN.format(shape=8) + "y = (x[:, 0] + x[:, 1] > 0).long()", MLP.format(i=8, o=2)),
    Case("linear, asked", DRAWN.format(shape=8) + "y = (x[:, 0] > x[:, 1]).long()", MLP.format(i=8, o=2), asks=True),
    Case("product", DRAWN.format(shape=6) + "y = (x[:, 0] * x[:, 1] > 0).long()", MLP.format(i=6, o=2)),
    Case(
        "steps of a value",
        DRAWN.format(shape=5) + "y = (x[:, 0].round() + x[:, 1].abs())",
        MLP.format(i=5, o=1),
        VALUES,
    ),
    Case("half noise", DRAWN.format(shape=5) + "y = x[:, 0] + torch.randn(2000)", MLP.format(i=5, o=1), VALUES),
    Case("noise", DRAWN.format(shape=8) + "y = torch.randint(0, 2, (2000,))", MLP.format(i=8, o=2)),
    Case("rare class", DRAWN.format(shape=6) + "y = (x[:, 0] + x[:, 1] > 1.8).long()", MLP.format(i=6, o=2)),
    Case("digits", BUNDLED.format(name="digits") + DIGITS + LABELS, FLAT.format(i=64, o=10), rows=900, kind="pictures"),
    Case(
        "digits, asked",
        BUNDLED.format(name="digits") + DIGITS + LABELS,
        FLAT.format(i=64, o=10),
        rows=900,
        asks=True,
        kind="pictures",
    ),
    Case("bright spots", SPOTS, FLAT.format(i=256, o=4), kind="pictures"),
    Case("stripes", STRIPES, FLAT.format(i=256, o=2), kind="pictures"),
    Case(
        "picture noise",
        "x = torch.randn(2000, 1, 12, 12)\ny = torch.randint(0, 3, (2000,))",
        FLAT.format(i=144, o=3),
        kind="pictures",
    ),
    Case(
        "walks",
        "x = torch.randn(2000, 20, 2).cumsum(1)\ny = (x[:, -1, 0] > x[:, 5, 0]).long()",
        FLAT.format(i=40, o=2),
        kind="sequences",
    ),
    Case("pitch of a wave", WAVES, FLAT.format(i=30, o=2), kind="sequences"),
    Case("words", TEXT, EMBED, kind="sequences"),
    Case("words, asked", TEXT, EMBED, rows=1200, asks=True, kind="sequences"),
)


def main() -> None:
    """Measure every case and write the table."""
    lines, right, within = [], 0, 0
    for case in CASES:
        found, fresh, ends = measure(case)
        inside = ends[1] >= found.interval[0] and ends[0] <= found.interval[1]
        right += inside
        low, high = found.interval
        within += low <= fresh <= high
        lines.append(
            f"| {case.name} | {case.kind} | {found.metric} | {found.run:.3f} | {found.by.partition(' on ')[0]} "
            f"| {found.baseline:.3f} | {low:.3f} to {high:.3f} | {fresh:.3f} | {'yes' if inside else 'no'} |"
        )
        print(lines[-1], flush=True)
    head = "| task | kind | metric | network | best learner | reaches | 95 % interval | on fresh rows | overlap |"
    text = (
        f"In {right} of {len(CASES)} tasks the interval overlaps that of the learner's score on fresh rows (95 %); "
        f"in {within} the score itself lies within it. The best learner is chosen on the same rows, which is "
        "optimistic. The tasks were changed while the interval was being mended: this is a check, not a test stated "
        "beforehand."
    )
    page = [
        "# Headroom on 20 recorded tasks",
        "",
        "`python -m benchmarks.headroom`",
        "",
        text,
        "",
        head,
        "|-" * 9 + "|",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join([*page, *lines, ""]), encoding="utf-8")


def measure(case: Case) -> tuple[Headroom, float, tuple[float, float]]:
    """The headroom of a task, and the score of its best learner on fresh rows with its own interval."""
    with tempfile.TemporaryDirectory() as folder:
        tape = tape_of(case.script, Path(folder))
    found = measured(tape, run_of(tape).score)
    rows = Recorded.read(tape)
    space: dict[str, torch.Tensor] = {}
    exec(f"import torch\ntorch.manual_seed(7)\n{case.data}", space)
    x, y = (space[name][case.rows + 200 * case.asks :] for name in "xy")
    train, truth = rows.trained, y if rows.classified else y.double()
    if not found.held:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(9))
        train = train.of(order[: len(train) * (FOLDS - 1) // FOLDS])
    known = train.parts[0]
    alike = x.reshape(len(x), *known.values.shape[1:])
    both = Part(torch.cat([known.values.float(), alike.float()]), known.looked_up)
    whole, cut = table((both,)), len(train)
    parts = (torch.arange(cut), torch.arange(cut, len(whole)))
    question = Question(whole.of(parts[0]), train.targets, whole.of(parts[1]), truth)
    with one_thread(), torch.no_grad():
        given = answered(LEARNERS[found.by.partition(" on ")[0]], question, rows.classified, float("inf"))
    return found, scored(given, truth, rows.yard), interval(given, truth, rows.yard)


if __name__ == "__main__":
    main()
