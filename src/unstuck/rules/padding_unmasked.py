"""Padding takes part in a mean, a softmax or the loss, or is the last thing a recurrent layer reads.

## Why it hurts
Short sequences are padded with a token that means nothing. A plain mean over the positions mixes its vector into every
result, the more the shorter the sequence; a softmax over the positions gives it most of the weight; a recurrent layer
whose last position is read has seen padding for most of the way and has forgotten what came before. If each position
has a label of its own, a loss over all of them is mostly made of padding, which is learnt first and makes the loss look
small.

## How it is seen
A good part of the recorded tokens that enter an embedding is an unbroken run of one token at the ends of the rows; the
embedding's result is averaged over all positions or weighed by a softmax along them, or a recurrent layer's last
position or final state is read, and no call masks, packs or selects anything. Or a cross-entropy gets one label for
every such token and for no other; whether that matters is tried. Or the mask of an attention call is inverted: it
leaves exactly the padding.

## What to do
Average over the real positions only, give a softmax minus infinity for the others, read the state at the last real
position (or pack the sequences). `key_padding_mask` is True where attention must not look, `attn_mask` of
`scaled_dot_product_attention` where it may. Use `CrossEntropyLoss(ignore_index=...)` for labels of padding.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

import torch

from unstuck.diagnosis.model import Effect, Evidence, Finding, NotApplicable, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.ignore_index import IgnoreIndex
from unstuck.remedies.mask_padding import MaskPadding
from unstuck.signals.class_recall import hit_rates
from unstuck.signals.losses import Losses
from unstuck.signals.sequences import Sequences
from unstuck.signals.source import Source

STAGE = Stage.DATA
FAULT = "padding-unmasked"
MUCH = 0.2
"""Share of padding: of a mean over the positions, a fifth is then the same vector in every row."""
NAMED, MISSED = 0.9, 0.6
"""Recall of the padding label, and mean recall of the others: at these, padding holds most of what was learnt."""
TAKEN = {
    "mean": "the mean over the positions",
    "last": "the last position",
    "state": "the final state of the recurrent layer",
}


def check(sequences: Sequences, source: Source, losses: Losses | None) -> Iterator[Finding]:
    """Each mean, each softmax, each last position and each loss that padding reaches."""
    for embedding, pad, share in sequences.padded():
        for call, form in sequences.unmasked(embedding) if share >= MUCH else ():
            what = TAKEN.get(form, "the softmax over the positions")
            said = f"{share:.0%} of the tokens are padding (token {pad}), and {what} includes it: no mask was recorded"
            evidence = Evidence("share of padding among the tokens", round(share, 3), f"below {MUCH:g}, or masked")
            able = form != "state" or not sequences.steps_read(call)
            remedies = tuple(_remedy(source, embedding.site, call.site, form, pad)) if able else ()
            yield Finding(FAULT, said, call.site, (evidence,), remedies, known="observed" if remedies else "guessed")
    yield from _inverted(sequences)
    for loss, label, share in sequences.scored():
        if share >= MUCH and loss.site is not None:
            said = f"{share:.0%} of the labels are padding (label {label}), and the loss includes them: no ignore_index"
            evidence = Evidence("share of padding among the labels", round(share, 3), f"below {MUCH:g}, or ignored")
            effect = _named_only(losses, label)
            known = "observed" if effect.because else "guessed"
            remedies = (IgnoreIndex(label, loss.site),)
            yield Finding(FAULT, said, loss.site, (evidence,), remedies, known=known, effect=effect)


def _inverted(sequences: Sequences) -> Iterator[Finding]:
    """One for all layers that get the same mask."""
    for call, pad in islice(sequences.inverted(), 1):
        said = f"the mask is inverted: attention reads padding (token {pad}) and no other position"
        evidence = Evidence("positions that attention may look at", "the padding", "all others")
        yield Finding(FAULT, said, call.site, (evidence,), known="observed", never_meant=True)


def _named_only(losses: Losses | None, label: int) -> Effect:
    """Proven if over the last quarter of the run padding is predicted well and the real labels are not."""
    try:
        rates = hit_rates(losses) if losses is not None else torch.zeros(0)
    except NotApplicable:
        return Effect()
    real = torch.cat([rates[:label], rates[label + 1 :]])
    if not len(real) or label >= len(rates) or rates[label] < NAMED or float(real.mean()) > MISSED:
        return Effect()
    of_padding, of_rest = float(rates[label]), float(real.mean())
    return proven(f"at the end, recall is {of_padding:.0%} for padding and {of_rest:.0%} for the other labels")


def _remedy(source: Source, embedding: Site | None, call: Site | None, form: str, pad: int) -> Iterator[MaskPadding]:
    """The repair, if both calls stand in one function and the embedding gets a plain name."""
    if embedding is None or call is None or embedding.file != call.file or embedding.function != call.function:
        return
    exact = [c for c in source.all(ast.Call) if source.file(c) == embedding.file and _at(c, embedding)]
    if exact and len(exact[0].args) == 1 and isinstance(exact[0].args[0], ast.Name):
        yield MaskPadding(embedding, call, form, pad)


def _at(node: ast.Call, site: Site) -> bool:
    return (node.lineno, node.col_offset, node.end_col_offset) == (site.line, site.column, site.end_column)


_SCRIPT = """
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(0)
rows = [torch.randint(1, 30, (int(n),)) for n in torch.randint(2, 25, (600,))]
tokens = pad_sequence(rows, batch_first=True)
y = torch.tensor([int((row > 15).float().mean() > 0.5) for row in rows])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, tokens):
        {forward}


model = Bag()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for batch in torch.randperm(600).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens[batch]), y[batch])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(forward="return self.head(self.embedding(tokens).mean(1))")
QUIET = _SCRIPT.format(
    forward="real = (tokens != 0).unsqueeze(-1)\n"
    "        return self.head((self.embedding(tokens) * real).sum(1) / real.sum(1))"
)
