"""Axes are swapped: a layer treats the batch as the sequence, or channels are mixed by `reshape`.

## Why it hurts

`nn.LSTM`, `nn.GRU`, `nn.RNN` and the attention layers expect (time, batch, features) unless built with
`batch_first=True`. Given (batch, time, features) they raise no error: they carry the hidden state from one sample to
the next and treat the steps of a sequence as independent. The output for a sample then depends on the other samples of
its batch.

`reshape` and `view` keep the memory order and only reinterpret it. From (N, L, C) to (N, C, L) they cut each series
into pieces and call every piece a channel; `permute` or `transpose` moves an axis. The shapes are valid, so there is no
error, but each channel that the layer sees is a mixture of all. Heads of attention that are split by `view` alone, from
(rows, words, heads * size) to (rows * heads, words, size), see words that are made of pieces of others.

## How it is seen

From recorded shapes: the axis that the layer uses as time has the length of the targets, and its batch axis has not.
A reshape between layers whose old and new shape share an axis, with its ends at other places of the memory, needs a
transposition. For inputs of convolutions and recurrent layers: neighbouring steps are less alike than if the same
memory is read with the other axis order. A replay with the axes moved shows whether the network then learns better.

## What to do

Build the layer with `batch_first=True`; replace `x.reshape(n, channels, time)` by `x.permute(0, 2, 1)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.batch_first import BatchFirst
from unstuck.remedies.permute_inputs import PermuteInputs
from unstuck.remedies.permute_instead import PermuteInstead
from unstuck.signals.mixed_axes import LAYERS, MixedAxes, Reading
from unstuck.signals.sequences import Sequences
from unstuck.signals.source import Source
from unstuck.tape.axes import Regrouping
from unstuck.tape.program import Call

FAULT = "axes-swapped"
STAGE = Stage.DATA
NEVER_MEANT = True
BUILDERS = {
    "lstm": {"LSTM"},
    "gru": {"GRU"},
    "rnn_tanh": {"RNN"},
    "rnn_relu": {"RNN"},
    "multi_head_attention_forward": {"MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer"},
}
"""The layers that make each call."""

SMOOTHER = 0.85
"""Squared step over twice the variance: 1 for white noise, 1/21 for a random walk of 20 unit steps (variance 10.5)."""


def check(sequences: Sequences | None, scrambled: MixedAxes | None, source: Source) -> Iterator[Finding]:
    """Report each layer once, at the line where it is applied."""
    if sequences is None and scrambled is None:
        raise NotApplicable("the recorded main step has no layer that is known to read a sequence")
    if sequences is not None:
        yield from _along_the_batch(sequences, source)
    for reading in scrambled.readings if scrambled is not None else ():
        if reading.meant < SMOOTHER * min(1.0, reading.rough):
            yield _relabelled(reading)
    if scrambled is not None and scrambled.relabelled:
        yield from _cut_across(scrambled.relabelled)


def _cut_across(reshapes: tuple[tuple[Call, Regrouping], ...]) -> Iterator[Finding]:
    """Each line of the person's once; the remedy moves the axes in all of them, since one may undo another."""
    meant = {call.site: (call, regrouping) for call, regrouping in reshapes if call.site is not None}
    remedy = PermuteInstead(tuple(meant), tuple(regrouping for _, regrouping in meant.values()))
    for call, regrouping in meant.values():
        shape = "x".join(map(str, call.shape))
        said = f"{call.name}() to {shape} reinterprets the axes without transposing them; use permute()"
        split = "x".join(map(str, regrouping.split))
        order = Evidence(
            "order in which the parts of the axes are joined", f"as they are ({split})", str(regrouping.order)
        )
        yield Finding(FAULT, said, call.site, (order,), (remedy,), known="observed")


def _relabelled(reading: Reading) -> Finding:
    first = LAYERS[reading.call.name]
    said = "the layer's input mixes channels: its axes were swapped by a reshape instead of permute()"
    evidence = (
        Evidence("squared difference of neighbouring steps / of any two steps", round(reading.rough, 3), "below 1"),
        Evidence("the same, with the axes moved", round(reading.meant, 3), "not below"),
    )
    remedy = PermuteInputs(reading.slot, reading.shape, first)
    return Finding(FAULT, said, reading.call.site, evidence, (remedy,))


def _along_the_batch(sequences: Sequences, source: Source) -> Iterator[Finding]:
    seen = set()
    for call, first in sequences.swapped():
        if call.site not in seen:
            seen.add(call.site)
            shape = sequences.shape(call.args[0])
            said = f"the batch axis of {shape} is used as time ({sequences.samples} samples); set batch_first={first}"
            length = Evidence("length of the layer's batch axis", float(shape[first]), str(sequences.samples))
            remedies = tuple(_built(source, call.name, first))
            yield Finding(FAULT, said, call.site, (length,), remedies, "error", known="observed")


def _built(source: Source, name: str, first: bool) -> Iterator[BatchFirst]:
    """The construction of the layer, if there is only one whose batch_first can be set."""
    made = [c for c in source.all(ast.Call) if source.full_name(c).rpartition(".")[2] in BUILDERS[name]]
    said = [c for c in made if any(k.arg == "batch_first" for k in c.keywords)]
    open_ = [c for c in made if c not in said] if first else said
    if len(open_) == 1:
        yield BatchFirst(source.site(open_[0]), first)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 12, 3)
y = (x[:, :, 0].sum(1) > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 16{first})
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.head(states[:, -1])


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for batch in torch.randperm(600).split(50):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(first="")
QUIET = _SCRIPT.format(first=", batch_first=True")
