"""Features selected by the labels of all rows, before some of the rows are set aside for evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import edited
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.recount import recounted
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

PICKED = """
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
x = rng.normal(size=(160, 400))
y = (x[:, 3] + rng.normal(size=160) > 0).astype(np.int64)


def best(rows, labels):
    return np.argsort(-np.abs((rows - rows.mean(0)).T @ (labels - labels.mean())))[:20].copy()


order = rng.permutation(160)
{split}
chosen = best({given})
x = x[:, chosen]
xt, yt = torch.tensor(x[train], dtype=torch.float32), torch.tensor(y[train])
xv, yv = torch.tensor(x[test], dtype=torch.float32), torch.tensor(y[test])
model = nn.Linear(20, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(xt), yt)
    loss.backward()
    optimizer.step()
print("accuracy", (model(xv).argmax(1) == yv).float().mean().item())
"""


def found(tape: Tape) -> list[Finding]:
    return examine(Readings(tape), {"eval-leak": catalogue()["eval-leak"]})[0]


@pytest.mark.parametrize("split", ["train, test = order[:100], order[100:]", "train = order[:100]\ntest = order[100:]"])
@pytest.mark.parametrize(("given", "leaks"), [("x, y", True), ("x[train], y[train]", False)])
def test_features_selected_by_the_labels_of_all_rows_leak(tmp_path: Path, split: str, given: str, leaks: bool) -> None:
    findings = found(tape_of(PICKED.format(split=split, given=given), tmp_path))
    assert [f.known for f in findings] == ["read"] * leaks
    for finding in findings:
        new = edited(finding.remedies[0], PICKED.format(split=split, given=given))
        assert new == PICKED.format(split=split, given="x[train], y[train]")


def test_the_patch_selects_by_the_rows_of_a_training_slice(tmp_path: Path) -> None:
    sliced = PICKED.format(split="", given="x, y").replace("x[train]", "x[:100]").replace("x[test]", "x[100:]")
    sliced = sliced.replace("xt, yt", "x_train, y_train").replace("(xt)", "(x_train)").replace(", yt)", ", y_train)")
    sliced = sliced.replace("y[train]", "y[:100]").replace("y[test]", "y[100:]")
    (finding,) = found(tape_of(sliced, tmp_path))
    assert "chosen = best(x[:100], y[:100])\n" in edited(finding.remedies[0], sliced)


def test_a_score_that_falls_without_the_leak_proves_it(tmp_path: Path) -> None:
    split = "train, test = order[:100], order[100:]"
    leaky, honest = (tmp_path / name for name in ("leaky", "honest"))
    for folder in (leaky, honest):
        folder.mkdir()
    before = tape_of(PICKED.format(split=split, given="x, y"), leaky)
    after = tape_of(PICKED.format(split=split, given="x[train], y[train]"), honest)
    shown = recounted(before, after, "eval-leak")
    assert shown is not None
    assert shown.word == "heals"
    assert recounted(after, before, "eval-leak") is None
