"""The account of a run: every section is read from a real tape, and one that cannot be read costs no other."""

from __future__ import annotations

from tests.recorded import Record
from unstuck.signals.account import account
from unstuck.signals.looks import looks

TOKENS = """
import torch
from torch import nn
torch.manual_seed(1)
words = torch.randint(5, (64, 4))
labels = (words[:, 0] > 2).long()
embed, out = nn.Embedding(5, 6), nn.Linear(24, 2)
optimizer = torch.optim.SGD(out.parameters(), lr=0.1)
for step in range(6):
    optimizer.zero_grad()
    logits = out(embed(words).flatten(1))
    loss = nn.functional.cross_entropy(logits, labels) + 0.01 * out.weight.pow(2).sum()
    loss.backward()
    optimizer.step()
    print(f"step {step} loss {loss.item():.4f}")
with torch.no_grad():
    print("accuracy", (out(embed(words).flatten(1)).argmax(1) == labels).double().mean().item())
"""


def test_what_the_tape_knows_is_told_by_section(record: Record) -> None:
    tape = record(TOKENS)
    told = account(tape)
    (tokens,) = [t for t in told["tensors"] if t["is"] == "input"]
    assert tokens["shape"] == [64, 4] and tokens["distinct"] == 5 and len(tokens["first rows"][0]) == 4
    assert tokens["different batches"] == "1 in 6 passes"
    assert told["targets"]["task"] == "classes" and told["targets"]["distinct"] == 2
    assert len(told["ranges"]) == len(looks(tape).layers)
    assert len(told["terms of the loss"]) == 2 and "cross_entropy" in told["terms of the loss"][0]
    assert any("5x6, in no optimizer" in line for line in told["weights"])
    assert any("optimizer 0" in line and "gradient norm" in line for line in told["weights"])
    assert told["evaluations"]["forward passes without a backward"] == 1
    assert any(line.startswith("step 5 loss") for line in told["printed"]["last line of each form"])


def test_a_section_that_cannot_be_read_says_so_and_costs_no_other(record: Record) -> None:
    tape = record(TOKENS)
    tape.tensors = {name: value for name, value in tape.tensors.items() if not name.startswith(("w:", "f:"))}
    told = account(tape)
    assert told["ranges"].keys() == {"not known"}
    assert told["printed"]["last line of each form"] and told["optimizers"][0]["name"] == "SGD"
