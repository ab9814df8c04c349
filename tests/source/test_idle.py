"""Functions that could have trained and did not: nothing in them is taken for a fault of the run."""

from __future__ import annotations

from tests.recorded import Findings, Record
from unstuck.source.idle import idle
from unstuck.source.text import Sources

SCRIPT = """
import torch
from torch import nn

def step(model, optimizer, rows, labels):
    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(rows), labels)
        loss.backward()
        return loss
    optimizer.step(closure)

class Other:
    def fit(self):
        rows, model, best = torch.randn(200, 5), nn.Linear(5, 2), None
        labels, optimizer = (rows[:, 0] > 0).long(), torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows), labels).backward()
            optimizer.step()
            best = model.state_dict()
        model.load_state_dict(best)

def make():
    torch.manual_seed(0)
    rows = torch.randn(200, 5)
    model = nn.Linear(5, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.5), rows, (rows[:, 0] > 0).long()

def main():
    parts = make()
    for _ in range(20):
        step(*parts)

{called}
"""


def test_a_fault_in_a_loop_that_never_ran_is_not_one_of_the_run(findings: Findings) -> None:
    assert "state-dict-alias" in {f.fault for f in findings(SCRIPT.format(called="Other().fit()"))}
    assert "state-dict-alias" not in {f.fault for f in findings(SCRIPT.format(called="main()"))}


def test_the_functions_that_ran_are_those_on_the_stack_of_a_backward(record: Record) -> None:
    tape = record(SCRIPT.format(called="main()"))
    names = {name for _, name in tape.facts.trained_in}
    assert names == {"<module>", "main", "step", "step.<locals>.closure"}
    pages = {place.file: place.page for place in Sources(tape.sources, tape.script).pages()}
    assert {name for _, name in idle(tape, pages)} == {"Other.fit"}


def test_nothing_is_idle_in_a_run_that_was_cut(record: Record) -> None:
    tape = record(SCRIPT.format(called="main()"), steps=3)
    pages = {place.file: place.page for place in Sources(tape.sources, tape.script).pages()}
    assert tape.cut and not idle(tape, pages)
