"""Sequences in the program: the layers that read them, which axis is the batch, and how much is padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program, Ref, Value

ARGUMENTS = 9
"""Arguments of a recurrent call on sequences that are not packed; the last is batch_first."""
MASKING = {"masked_fill", "where", "pack_padded_sequence", "masked_select", "index_select", "gather", "embedding_bag"}
"""Calls that may exclude padding."""

MASKS = {
    "multi_head_attention_forward": (14, "key_padding_mask"),
    "scaled_dot_product_attention": (3, "attn_mask"),
    "masked_fill": (1, "mask"),
}
"""Where calls take a mask of positions: the argument's place and name."""


@dataclass(frozen=True)
class Sequences:
    """The main program with the tensors of its first pass."""

    program: Program
    outside: tuple[Tensor, ...]
    target: Tensor | None

    @classmethod
    def read(cls, tape: Tape) -> Sequences:
        """Raises NotApplicable if the program has neither recurrence, attention nor embedding."""
        number = main_program(tape)
        program, first = tape.programs[number], next(p for p in tape.passes if p.program == number)
        if not any(c.op.kind in ("recurrent", "attention", "lookup") for c in program.calls):
            raise NotApplicable("the recorded main step has no layer that is known to read a sequence")
        task = Task.read(tape)
        target = None if task.target is None else tape.tensors[first.outside[task.target]]
        return cls(program, _tensors(tape, first), target)

    @property
    def samples(self) -> int:
        """Samples in a batch, known from targets of one number each; 0 if there are none such."""
        t = self.target
        return len(t) if t is not None and t.dim() and t.numel() == len(t) else 0

    def shape(self, ref: Ref) -> tuple[int, ...]:
        """The shape of an argument; () if it is not on the tape."""
        if isinstance(ref, Outside):
            return tuple(self.outside[ref.slot].shape)
        maker = self.program.maker(ref)
        return maker.shape if maker is not None and isinstance(ref, Value) and maker.outs[0] == ref.id else ()

    def swapped(self) -> Iterator[tuple[Call, bool]]:
        """Calls that read the batch axis as the sequence, and whether batch_first should be True."""
        for call in self.program.calls:
            first = batch_first(call)
            shape = self.shape(call.args[0]) if first is not None and call.args else ()
            if first is None or len(shape) != 3 or shape[0] == shape[1] or 1 in shape[:2]:
                continue
            batch, other = (shape[0], shape[1]) if first else (shape[1], shape[0])
            if self.samples == other != batch:
                yield call, not first

    # -- padding -----------------------------------------------------------------------------------------------------

    def padded(self) -> Iterator[tuple[Call, int, float]]:
        """Embeddings of padded tokens: the call, the padding token, its share."""
        for call in self.program.calls:
            ref = call.args[0] if call.name == "embedding" and call.args else None
            if isinstance(ref, Outside):
                tokens = self.outside[ref.slot]
                if tokens.dim() == 2 and tokens.shape[1] > 2 and not tokens.is_floating_point():
                    yield call, *_padding(tokens)

    def scored(self) -> Iterator[tuple[Call, int, float]]:
        """Cross-entropies that get a separate label for padded tokens: the call, the label, its share."""
        for ref in (c.args[0] for c in self.program.calls if c.name == "embedding" and c.args):
            tokens = self.outside[ref.slot] if isinstance(ref, Outside) else None
            if tokens is None or tokens.dim() != 2 or tokens.shape[1] < 3 or tokens.is_floating_point():
                continue
            padded = _run(tokens, int(tokens[:, -1].mode().values)).bool().flip(1).flatten()
            for loss in (c for c in self.program.calls if c.name == "cross_entropy"):
                target = loss.argument(1, "target")
                labels = self.outside[target.slot].flatten() if isinstance(target, Outside) else tokens[:0].flatten()
                if labels.numel() == padded.numel() and bool(padded.any()) and not labels.is_floating_point():
                    label = int(labels[padded][0])
                    alone = bool(((labels == label) == padded).all())
                    if alone and label != loss.argument(4, "ignore_index", -100):
                        yield loss, label, float(padded.double().mean())

    def inverted(self) -> Iterator[tuple[Call, int]]:
        """Attention that may look at padding only: the call, and the padding token."""
        for embedding, pad, share in self.padded():
            tokens = self.outside[embedding.args[0].slot]
            there = _run(tokens, pad).flip(1).bool()
            for call in self.program.after(embedding) if 0 < share < 1 else ():
                allowed = self._allowed(call, tuple(tokens.shape))
                if allowed is not None and torch.equal(allowed, there):
                    yield call, pad

    def _allowed(self, call: Call, positions: tuple[int, ...]) -> Tensor | None:
        """(rows, positions): where a call that masks lets its attention look; None where it masks no positions."""
        which = MASKS.get(call.name)
        ref = call.argument(*which) if which is not None else None
        if not isinstance(ref, Outside):
            return None
        mask, keeps = self.outside[ref.slot], call.name == "scaled_dot_product_attention"
        allowed = mask if keeps and mask.dtype == torch.bool else mask == 0
        inner = allowed.shape[1:-1]
        if (allowed.shape[0], allowed.shape[-1]) != positions or any(n != 1 for n in inner):
            return None
        return allowed.reshape(positions)

    def unmasked(self, embedding: Call) -> Iterator[tuple[Call, str]]:
        """Calls that include padding if nothing masks it.

        `mean`: over the positions. `last`: the last position of a recurrent layer's output. `state`: a recurrent
        layer whose final state is read. `weights` and `column`: a softmax over the positions, of shape (rows,
        positions) or (rows, positions, 1). An embedding that makes zeros of padding (`padding_idx`) keeps it out of a
        mean and a softmax well enough, but a recurrent layer goes on through zeros.
        """
        if any(c.name in MASKING or _masks(self, c, embedding.shape[:2]) for c in self.program.calls):
            return
        yield from self._run_through(embedding)
        if embedding.argument(2, "padding_idx") is None:
            yield from self._mixed_in(embedding)

    def steps_read(self, recurrent: Call) -> bool:
        """Whether anything reads a recurrent layer's output at its positions, beside its final state."""
        return bool(self.program.users(Value(recurrent.outs[0])))

    def _run_through(self, embedding: Call) -> Iterator[tuple[Call, str]]:
        """Where the state after the last position is read."""
        for call in self.program.after(embedding):
            subject = self.shape(call.refs()[0]) if call.refs() else ()
            if subject[:2] == embedding.shape[:2] and len(subject) == 3 and self._is_recurrent(call):
                if call.name == "getitem" and _is_last(call.args[1]):
                    yield call, "last"
            elif self._ends_in(call, embedding.shape[:2]):
                yield call, "state"

    def _ends_in(self, call: Call, positions: tuple[int, ...]) -> bool:
        """Whether a recurrent layer over these (rows, positions) has a final state that is read."""
        over = batch_first(call) and self.shape(call.args[0])[:2] == positions
        return bool(over) and any(self.program.users(Value(state)) for state in call.outs[1:])

    def _mixed_in(self, embedding: Call) -> Iterator[tuple[Call, str]]:
        for call in self.program.after(embedding):
            subject = self.shape(call.refs()[0]) if call.refs() else ()
            if call.name == "softmax" and subject in (embedding.shape[:2], (*embedding.shape[:2], 1)):
                along = call.argument(1, "dim")
                yield from (
                    [(call, "column" if len(subject) == 3 else "weights")] if along in (1, 1 - len(subject)) else ()
                )
            if subject[:2] != embedding.shape[:2] or len(subject) != 3:
                continue
            if call.name == "mean" and call.argument(1, "dim") in (1, (1,), [1]):
                yield call, "mean"

    def _is_recurrent(self, call: Call) -> bool:
        maker = self.program.maker(call.refs()[0])
        return maker is not None and maker.op.kind == "recurrent"


def _tensors(tape: Tape, p: Pass) -> tuple[Tensor, ...]:
    return tuple(tape.tensors[k] for k in p.outside)


def batch_first(call: Call) -> bool | None:
    """Whether a call reads the batch along the first axis; None if it reads no sequence."""
    if call.name == "multi_head_attention_forward":
        return False
    plain = call.op.kind == "recurrent" and len(call.args) == ARGUMENTS and isinstance(call.args[3], bool)
    return bool(call.args[-1]) if plain else None


def _padding(tokens: Tensor) -> tuple[int, float]:
    """The most frequent last token, and the share of all positions in unbroken runs of it at the end of rows."""
    pad = int(tokens[:, -1].mode().values)
    return pad, float(_run(tokens, pad).double().mean())


def _run(tokens: Tensor, pad: int) -> Tensor:
    """(rows, positions from the end): 1 in the unbroken run of a token at the end of a row."""
    return (tokens.flip(1) == pad).long().cumprod(1)


def _masks(sequences: Sequences, call: Call, rows: tuple[int, ...]) -> bool:
    """A product with a tensor of one entry per position that enters the step, or attention with a padding mask."""
    if call.kwargs.get("key_padding_mask") is not None:
        return True
    outside = [r for r in call.refs() if isinstance(r, Outside)]
    return call.name in ("mul", "multiply") and any(sequences.shape(r)[:2] == rows for r in outside)


def _is_last(index: object) -> bool:
    return isinstance(index, tuple) and len(index) >= 2 and isinstance(index[0], slice) and index[1] == -1
