"""Whole numbers that the step looks up in a table, row by row with targets and answers, as texts where those are known.

Shown for the last recorded batch, with its rows along the axis that the network reads as the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from unstuck.diagnosis.looks import Tokens as Shown
from unstuck.signals.sequences import Sequences, batch_first
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Pass, Tape, Vocabulary
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight

ASCII = 127
"""A table with as many rows or more can hold a row for each character code of ASCII."""
SPACES = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}
NUMBERS = 8
"""Numbers of a target or an answer that is no token."""


@dataclass(frozen=True)
class Tokens:
    """The ids of one slot, with its lookup, and what the loss compares of them."""

    slot: int
    call: Call
    size: int
    """Rows of the table."""
    ids: tuple[Tensor, ...]
    """The rows of the last recorded batch."""
    shape: tuple[int, ...]
    """Of the batch as it entered."""
    dtype: str
    texts: Mapping[int, str]
    named: str
    """The name of what gave the texts ("" where there is nothing)."""
    wanted: Tensor | None
    """(rows, positions) of whole numbers that are tokens, or (rows, numbers) of the target."""
    answered: Tensor | None
    """Likewise, of the most probable answer where that is a token."""

    @classmethod
    def read(cls, tape: Tape) -> Iterator[Tokens]:
        """One for each slot of whole numbers that are looked up; nothing where there is none."""
        number = main_program(tape)
        program = tape.programs[number]
        passes = [p for p in tape.passes if p.program == number]
        for slot in range(program.slots):
            batches = [tape.tensors[key] for key in dict.fromkeys(p.outside[slot] for p in passes)]
            found = None if batches[0].is_floating_point() or not batches[0].dim() else _lookup(program, slot)
            if found is not None:
                call, table = found
                yield _table(tape, passes[-1], slot, call, int(tape.start(table).shape[0]), batches)

    def rows(self, count: int, longest: int) -> Iterator[Shown]:
        """The first rows, each with its first positions."""
        for i in range(min(count, len(self.ids))):
            row = self.ids[i]
            told = (self._told(part, i, longest) for part in (self.wanted, self.answered))
            yield Shown(self._words(row[:longest]), *told, more=max(0, len(row) - longest))

    def _words(self, ids: Tensor) -> tuple[str, ...]:
        return tuple(self.texts.get(n, str(n)) for n in ids.long().tolist())

    def _told(self, part: Tensor | None, row: int, longest: int) -> tuple[str, ...]:
        if part is None:
            return ()
        if not part.is_floating_point():
            return self._words(part[row, :longest])
        return tuple(f"{v:.4g}" for v in part[row][:NUMBERS].double().tolist())


def _lookup(program: Program, slot: int) -> tuple[Call, str] | None:
    """The first call that looks a slot up in a table of weights, and the table's name."""
    waiting: list[Ref] = [Outside(slot)]
    while waiting:
        ref = waiting.pop()
        for call in program.users(ref):
            table = next(iter(call.weights()), None)
            if table is not None and _looks_up(call, ref):
                return call, table
            waiting += [Value(call.outs[0])] if call.op.hands_on and call.outs else []
    return None


def _looks_up(call: Call, ids: Ref) -> bool:
    """`embedding(ids, table)` or `table[ids]`."""
    if call.op.kind == "lookup":
        return call.argument(0, "input") == ids
    return call.name == "getitem" and isinstance(call.args[0], Weight) and call.args[1] == ids


def _table(tape: Tape, last: Pass, slot: int, call: Call, size: int, batches: list[Tensor]) -> Tokens:
    raw = tape.tensors[last.outside[slot]]
    turned = _turned(tape, call, raw)
    texts, named = _texts(tape.facts.vocabularies, size, torch.cat([b.reshape(-1) for b in batches]).unique())
    wanted, answered = _compared(tape, last, raw, size)
    rows = _bags(tape, last, call, raw) or tuple(_by_row(raw, turned))
    return Tokens(
        slot, call, size, rows, tuple(raw.shape), str(raw.dtype).removeprefix("torch."),
        texts, named, _beside(wanted, raw, len(rows), turned), _beside(answered, raw, len(rows), turned),
    )  # fmt: skip


def _by_row(part: Tensor, turned: bool) -> Tensor:
    """(rows, positions)"""
    return (part.transpose(0, 1) if turned else part).reshape(part.shape[1 if turned else 0], -1)


def _bags(tape: Tape, last: Pass, call: Call, ids: Tensor) -> tuple[Tensor, ...]:
    """Rows of a flat tensor of ids, cut where a call of `embedding_bag` is told to; () where it is not."""
    offsets = call.argument(2, "offsets") if call.name == "embedding_bag" and ids.dim() == 1 else None
    if not isinstance(offsets, Outside):
        return ()
    starts = tape.tensors[last.outside[offsets.slot]].tolist()
    ends = [] if call.argument(9, "include_last_offset") else [len(ids)]
    return tuple(ids[a:b] for a, b in pairwise([*starts, *ends]))


def _beside(part: Tensor | None, ids: Tensor, rows: int, turned: bool) -> Tensor | None:
    """(rows, positions) of a tensor with a number for each id, or of one with as many rows; None for others."""
    if part is None or not part.dim():
        return None
    if part.numel() == ids.numel():
        return _by_row(part.reshape(ids.shape), turned)
    return part.reshape(len(part), -1) if len(part) == rows else None


def _turned(tape: Tape, lookup: Call, ids: Tensor) -> bool:
    """Whether the layers behind the lookup read its second axis as the batch.

    Where there is one target for each row along the first axis, that is the axis of the samples.
    """
    if ids.dim() != 2 or lookup.op.kind != "lookup":
        return False
    sequences = Sequences.read(tape)
    after = {id(call) for call in sequences.program.after(lookup)}
    readers = [c for c in sequences.program.calls if id(c) in after and batch_first(c) is not None and c.args]
    first = next((c for c in readers if sequences.shape(c.args[0])[:2] == tuple(lookup.shape[:2])), None)
    return first is not None and not batch_first(first) and sequences.samples != len(ids)


def _compared(tape: Tape, last: Pass, ids: Tensor, size: int) -> tuple[Tensor | None, Tensor | None]:
    """Target and answer; where the answer is a score for each row of the table, the row with the highest."""
    task = Task.read(tape)
    target = tape.tensors.get(last.outside[task.target]) if task.target is not None else None
    answer = tape.tensors.get(last.output)
    if answer is not None and answer.numel() == ids.numel() * size:
        axis = 1 if answer.dim() == ids.dim() + 1 and answer.shape[-1] != size else -1
        return target, answer.argmax(axis)
    return (target.double() if target is not None else None), (answer.double() if answer is not None else None)


def _texts(known: tuple[Vocabulary, ...], size: int, ids: Tensor) -> tuple[dict[int, str], str]:
    """Texts of the ids, where all that fits best agrees; else the characters, where all ids are codes of such."""
    seen = set(ids.long().tolist())
    fitting = [v for v in known if seen <= {n for n, _ in v.texts} and v.texts[-1][0] < size]
    whole = [v for v in fitting if len(v.texts) == size] or fitting
    if whole and len({tuple(t for t in v.texts if t[0] in seen) for v in whole}) == 1:
        return {n: _shown(text) for n, text in whole[0].texts}, whole[0].name
    if not whole and size >= ASCII and len(seen) > 1 and all(_is_character(n) for n in seen):
        return {n: _shown(chr(n)) for n in seen}, "character codes"
    return {}, ""


def _is_character(code: int) -> bool:
    return 0 <= code < ASCII and (chr(code).isprintable() or chr(code) in SPACES)


def _shown(text: str) -> str:
    """A text whose white space can be seen where it stands alone."""
    return "".join(SPACES.get(sign, sign) for sign in text) if text.strip() != text or not text else text
