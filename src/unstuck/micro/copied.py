"""Whether the target stands in the input, so that a copy solves the task.

## What it asks

Can the answer be read off the input: is the target of position t the input at t, or at a later position that the output
depends on? Is it a column of the input in another unit or coding? And is that what the trained network does?

## How

The recorded targets are laid beside every recorded input, at the same position and shifted along the sequence by up to
SHIFTS. Where they agree, the tokens (or numbers) of single positions are exchanged between the rows of a recorded
batch, and the trained network is asked again: its answer follows the exchanged input where it has learnt to copy. Which
earlier positions change tells whether the network can see the future at all, and the first call in which they do is
where it gets to see it. Columns of a table are compared with the target by a line through them, or by the classes that
go with each of their values.

## What it costs

About ten forwards of the recorded step.

## What is healthy

The answer is not in what the output depends on. An autoencoder, a masked language model and a task of copying do hold
their target in the input, on purpose: the first two see the whole of it through a bottleneck or with gaps, and of the
last the held-out score is as good.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import torch

from unstuck.diagnosis.model import NotApplicable
from unstuck.micro.copies import Copied
from unstuck.micro.copies_in_columns import in_columns
from unstuck.micro.copies_in_sequences import asked, in_sequences
from unstuck.micro.step import REFUSED, Recorded
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Way, run
from unstuck.tape.model import Tape

COST, KEEPS = 10, 0.05
BATCHES = 8
"""Batches that targets and inputs are compared on."""


def ask(recorded: Recorded) -> Copied:
    """Look for the target in the input. Raises NotApplicable where it is not there."""
    tape = recorded.tape
    number, task = main_program(tape), Task.read(tape)
    if task.target is None or task.output is None:
        raise NotApplicable("the target of each row is not known")
    passes = [p for p in tape.passes if p.program == number][:BATCHES]
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    for found in in_sequences(tape, task, passes):
        known = asked(recorded, task, found, passes[-1])
        if known is not None and known.solved:
            return replace(known, held_out=held_out(recorded))
    column = in_columns(tape, task, [p for p in tape.passes if p.program == number])
    if column is None:
        raise NotApplicable("the target is not found in the input")
    site = task.loss.site if task.loss is not None else None
    return replace(column, at=site, held_out=held_out(recorded))


def held_out(recorded: Recorded) -> float | None:
    """The skill of the trained network in the script's own last evaluation; where its targets are not known, the share
    of answers that its last comparison finds equal; None where it makes none."""
    with suppress(NotApplicable):
        return FinalEvaluation.read(recorded.tape).skill
    with suppress(*REFUSED):
        return _compared(recorded.tape)
    return None


def _compared(tape: Tape) -> float | None:
    last = [e for e in tape.evaluations if e.after == len(tape.passes)]
    shares = []
    for evaluation in last:
        program = tape.programs[evaluation.program]
        compared = [c for c in program.calls if c.name == "eq" and len(c.refs()) == 2]
        if not compared or program.missing:
            continue
        names = program.weights()
        if any(f"f:{name}" not in tape.tensors for name in names):
            continue
        weights = {name: tape.tensors[f"f:{name}"] for name in names}
        outside = tuple(tape.tensors[k] for k in evaluation.outside)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            values = run(program, weights, outside, {}, Way(), [compared[-1].outs[0]])
        shares.append(float(values[compared[-1].outs[0]].double().mean()))
    return sum(shares) / len(shares) if shares else None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
follows = torch.randperm(20)
tunes = [torch.randint(0, 20, (400,))]
for _ in range(11):
    played = torch.where(torch.rand(400) < 0.2, torch.randint(0, 20, (400,)), follows[tunes[-1]])
    tunes.append(played)
tunes = torch.stack(tunes, 1)
train, test = tunes[:320], tunes[320:]


class Player(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 24)
        self.rnn = nn.GRU(24, 48, batch_first=True)
        self.head = nn.Linear(48, 20)

    def forward(self, notes):
        states, _ = self.rnn(self.embedding(notes))
        return self.head(states)


model = Player()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(320).split(40):
        notes = train[rows]
        optimizer.zero_grad()
        scores = model(notes{given})
        loss = nn.functional.cross_entropy(scores.reshape(-1, 20), notes{wanted}.reshape(-1))
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    guesses = model(test[:, :-1]).argmax(-1)
    print("accuracy of the next note", (guesses == test[:, 1:]).float().mean().item())
"""

FIRES = _SCRIPT.format(given="", wanted="")
QUIET = _SCRIPT.format(given="[:, :-1]", wanted="[:, 1:]")
