"""Rows that are permuted before each epoch keep their names, wherever these live."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.source.text import Sources

DATA = """
torch.manual_seed(0)
y_train = torch.arange(400) // 200
X_train = torch.sin(torch.arange(1600.0)).view(400, 4) + y_train[:, None]
"""
HEAD = "import torch\nfrom torch import nn\n"
BODY = """
net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(4):
    for i in range(0, 400, 40):
        loss = nn.functional.cross_entropy(net(X_train[i : i + 40]), y_train[i : i + 40])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def function(head: str, body: str = BODY) -> str:
    """The statements as a function's."""
    return f"{head}\n" + "".join(f"    {line}\n" for line in body.strip().splitlines())


GLOBAL = f"{HEAD}{DATA}\n{function('def train():')}\n\ntrain()\n"
DOCUMENTED = GLOBAL.replace("def train():\n", 'def train():\n    """Train."""\n')
TOLD = GLOBAL.replace("def train():\n", "def train():\n    global y_train\n")
GIVEN = f"{HEAD}{DATA}\n{function('def train(X_train, y_train):')}\n\ntrain(X_train, y_train)\n"
INNER = "\n" + function("def train():")
ENCLOSED = f"{HEAD}{function('def main():', DATA + INNER + 'train()')}\n\nmain()\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + DATA + BODY, []),
        (GLOBAL, ["global X_train, y_train"]),
        (DOCUMENTED, ["global X_train, y_train"]),
        (TOLD, ["global y_train", "global X_train"]),
        (GIVEN, []),
        (ENCLOSED, ["nonlocal X_train, y_train"]),
    ],
)
def test_the_patched_script_runs_and_is_shuffled(
    record: Record, findings: Findings, text: str, said: list[str]
) -> None:
    (found,) = findings(record(text), "not-shuffled")
    (remedy,) = found.remedies
    edited = remedy.edit(Sources({"train.py": text}, "train.py")).files["train.py"]
    lines = [line.strip() for line in edited.splitlines()]
    assert sorted(line for line in lines if line.startswith(("global", "nonlocal"))) == sorted(said)
    tape = record(edited)
    assert tape.error is None and len(tape.passes) == 40
    assert not findings(tape, "not-shuffled")
