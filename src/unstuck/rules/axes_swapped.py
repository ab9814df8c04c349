"""A layer runs along the batch, or along a mixture of channels, and not along time.

## Why it hurts

`nn.LSTM`, `nn.GRU`, `nn.RNN` and the attention layers expect (time, batch, features) unless they are told
`batch_first=True`. Given (batch, time, features) they do not complain: they carry the state from one sample to the next
and treat the steps of a sequence as if they had nothing to do with each other. The answer for a sample depends on which
samples stand before it in the batch.

`reshape` and `view` keep the order in memory and only relabel the axes: from (batch, time, channels) to (batch,
channels, time) they cut the series into pieces and call each piece a channel. `permute` (or `transpose`) is what moves
an axis. The shapes are right, so nothing complains; what the layer is shown as one channel is a mixture of all.

## How it is seen

On the tape: the axis that the layer takes for time is as long as the batch has targets (one number each), and the axis
that it takes for the batch is not. Of inputs that a convolution or a recurrent layer runs along: neighbours are less
alike than they would be with the features read from the other side of the same memory (below SMOOTHER of it); a replay
on inputs read that way tells whether the network then learns better.

## What to do

Build the layer with `batch_first=True`; write `x.permute(0, 2, 1)` where `x.reshape(n, channels, time)` stands.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.remedies.batch_first import BatchFirst
from unstuck.remedies.permute_inputs import PermuteInputs
from unstuck.remedies.permute_instead import PermuteInstead
from unstuck.signals.mixed_axes import LAYERS, MixedAxes, Reading
from unstuck.signals.sequences import Sequences
from unstuck.signals.source import Source

FAULT = "axes-swapped"
BUILDERS = {
    "lstm": {"LSTM"},
    "gru": {"GRU"},
    "rnn_tanh": {"RNN"},
    "rnn_relu": {"RNN"},
    "multi_head_attention_forward": {"MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer"},
}
"""The layers that make each call."""


SMOOTHER = 0.85
"""Neighbours of noise differ as strangers do (1); this far below that, and below the reading as it is, is an order."""


def check(sequences: Sequences | None, scrambled: MixedAxes | None, source: Source) -> Iterator[Finding]:
    """Each layer once, at the line where it is applied."""
    if sequences is None and scrambled is None:
        raise NotApplicable("no layer runs along a sequence")
    if sequences is not None:
        yield from _along_the_batch(sequences, source)
    for reading in scrambled.readings if scrambled is not None else ():
        if reading.meant < SMOOTHER * min(1.0, reading.rough):
            yield _relabelled(reading)
    for call, order in scrambled.relabelled if scrambled is not None else ():
        said = f"a {call.name} gives the axes other names here, and does not move them: what belongs together is torn"
        told = Evidence("shape behind it", "x".join(map(str, call.shape)), "of a permutation, or of other sizes")
        remedies = (PermuteInstead(call.site, order),) if call.site is not None else ()
        yield Finding(FAULT, said, call.site, (told,), remedies)


def _relabelled(reading: Reading) -> Finding:
    first = LAYERS[reading.call.name]
    said = "the layer runs along a mixture of channels: the axes of its input were relabelled, and not moved"
    evidence = (
        Evidence("step between neighbours over that between strangers", round(reading.rough, 3), "below 1"),
        Evidence("the same, with the features on the other side", round(reading.meant, 3), "not below"),
    )
    remedy = PermuteInputs(reading.slot, reading.shape, first)
    return Finding(FAULT, said, reading.call.site, evidence, (remedy,))


def _along_the_batch(sequences: Sequences, source: Source) -> Iterator[Finding]:
    seen = set()
    for call, first in sequences.swapped():
        if call.site not in seen:
            seen.add(call.site)
            shape = sequences.shape(call.args[0])
            said = f"the layer runs along the batch of {shape}: {sequences.samples} samples are taken for time steps"
            taken = Evidence("length of the axis it takes for the batch", float(shape[first]), str(sequences.samples))
            remedies = tuple(_built(source, call.name, first))
            yield Finding(FAULT, said, call.site, (taken,), remedies, "error", demonstrated=said)


def _built(source: Source, name: str, first: bool) -> Iterator[BatchFirst]:
    """The construction of the layer, where the text has one only that does not say so yet."""
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
