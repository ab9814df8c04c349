"""Weights are loaded under other names, or not at all, without an error.

## Why it hurts
`load_state_dict(state, strict=False)` leaves every weight alone whose name it does not find, and so does
`model.load_state_dict({**model.state_dict(), **known})` where a filter has dropped every entry. A prefix (`module.`,
`backbone.`), a renamed layer or a state that lies one level deeper in the file is enough: the network begins with, or
is evaluated with, the numbers it was drawn with, and the fine-tuning is a training from scratch.

Weights that are loaded in a constructor whose last line initialises all layers are lost as well, though every name
agreed.

## How it is seen
Each `load_state_dict` is watched: which of the module's tensors were not given, which entries it had no name for, and
whether what it was given are its own tensors. Missing and unexpected tensors of the same shapes in the same order are
the same layers under other names. A new head of another shape, a last layer that alone is not loaded, or a state
without the old head, is not reported.

Weights that were loaded, and then filled with numbers by an initialisation before the first step, are told by the line
of the initialisation, unless only the last layer is new.

## What to do
Print what `load_state_dict` returns, or leave `strict=True`. Rename the entries before they are loaded:
`{name.removeprefix("module."): tensor for name, tensor in state.items()}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from unstuck.diagnosis.model import Effect, Evidence, Finding, NotApplicable, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.rename_entries import RenameEntries, renaming
from unstuck.signals.task import main_program
from unstuck.tape.model import Load, Parameter, Tape

STAGE = Stage.WIRING
NEVER_MEANT = True
FAULT = "checkpoint-mismatch"
PAIRS = 2
"""Tensors that stand under other names: of one, the shape may agree by chance."""
MOST = 0.5
"""Share of the missing numbers that are given under other names; a new head is missing and given by nobody."""

Named = Sequence[tuple[str, tuple[int, ...]]]


def check(tape: Tape) -> Iterator[Finding]:
    """Report each load that leaves weights at the values they had although it was given theirs."""
    if not tape.facts.loads:
        raise NotApplicable("no weights are loaded")
    yield from _overwritten(tape)
    seen, last = set[object](), _last_layer(tape)
    for load in tape.facts.loads:
        missed = _missed(load) if not _new_head(load, last) else None
        if load.site not in seen and (found := missed or _own(load)) is not None:
            seen.add(load.site)
            yield found


def _last_layer(tape: Tape) -> tuple[str, ...]:
    """The weights of the layer nearest to the loss; () where no step was recorded."""
    try:
        program = tape.programs[main_program(tape)]
    except NotApplicable:
        return ()
    return next((c.weights() for c in reversed(program.calls) if c.weights()), ())


def _new_head(load: Load, last: tuple[str, ...]) -> bool:
    """Whether the rest is loaded and only the last layer is not: it is new for another task, whatever its shape."""
    if load.given == len(load.unexpected) or not last:
        return False
    return all(any(f".{weight}".endswith(f".{name}") for weight in last) for name, _ in load.missing)


def _missed(load: Load) -> Finding | None:
    """Entries without a place, and tensors without an entry, that are the same layers."""
    pairs = paired(load.missing, load.unexpected)
    nothing = load.given > 0 and load.given == len(load.unexpected)
    enough = len(pairs) >= PAIRS and _size(new for new, _ in pairs) >= MOST * _size(load.missing)
    if not enough and not (nothing and load.missing):
        return None
    loaded = load.given - len(load.unexpected)
    evidence = (
        Evidence("tensors of the model that were loaded", loaded, str(load.held)),
        Evidence("entries that the model has no name for", len(load.unexpected), "0"),
    )
    (new, _), (old, _) = pairs[0] if pairs else (load.missing[0], load.unexpected[0])
    said = f"{loaded} of the model's {load.held} tensors are loaded: it has no {old}, and {new} stays as it was"
    sure = f"load_state_dict() finds none of its {load.given} entries in the model, whose weights stay as they were"
    change = renaming([(old, new) for (new, _), (old, _) in pairs])
    remedies = (RenameEntries(load.site, *change),) if load.site is not None and change is not None else ()
    effect = proven(sure) if nothing else Effect()
    return Finding(FAULT, said, load.site, evidence, remedies, "error", known="observed", effect=effect)


def _own(load: Load) -> Finding | None:
    """A model that is given its own tensors before it was ever used: a filter has dropped the rest."""
    if not load.fresh or load.own < load.held or load.missing or load.unexpected or not load.held:
        return None
    evidence = Evidence("tensors that come from outside the model", 0, str(load.held))
    said = "every tensor that load_state_dict() is given is the model's own: nothing is loaded"
    sure = "the weights are the same tensors before and after the load"
    return Finding(FAULT, said, load.site, (evidence,), (), "error", known="observed", effect=proven(sure))


def _overwritten(tape: Tape) -> Iterator[Finding]:
    """Weights that were given stored values, and new ones before the first step."""
    last = _last_layer(tape)
    loaded = [p for p in tape.parameters if p.loaded is not None]
    lost = [p for p in loaded if p.fresh and p.valued is not None and len(p.shape) > 1]
    behind = [p for p in lost if p.name not in last]
    if not behind or 2 * _numbers(lost) < _numbers(loaded):
        return
    first, at = behind[0], behind[0].loaded
    assert at is not None
    evidence = (
        Evidence("loaded weights that were initialised again", len(lost), "0"),
        Evidence("line that loaded them", f"{at.file}:{at.line}", "after the initialisation"),
    )
    said = f"{first.name} and {len(lost) - 1} more loaded weights are initialised again before the first step"
    sure = "none of the loaded values is left in them when the training begins"
    yield Finding(FAULT, said, first.valued, evidence, (), "error", known="observed", effect=proven(sure))


def _numbers(weights: Sequence[Parameter]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def paired(missing: Named, unexpected: Named) -> list[tuple[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]]]:
    """Missing and unexpected tensors that are probably the same: by the end of their names, else by shapes in order."""
    ends = [(m, u) for m in missing for u in unexpected if m[1] == u[1] and _ends_alike(m[0], u[0])]
    if len(ends) >= PAIRS:
        return ends
    blocks = SequenceMatcher(None, [m[1] for m in missing], [u[1] for u in unexpected], False).get_matching_blocks()
    return [(missing[b.a + i], unexpected[b.b + i]) for b in blocks for i in range(b.size)]


def _ends_alike(one: str, other: str) -> bool:
    return f".{one}".endswith(f".{other}") or f".{other}".endswith(f".{one}")


def _size(named: Iterator[tuple[str, tuple[int, ...]]] | Named) -> int:
    return sum(math.prod(shape) for _, shape in named)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
basis = torch.randn(6, 24)
latent = torch.randn(2200, 6)
x = latent @ basis + 0.3 * torch.randn(2200, 24)
y = (latent[:, 0] * latent[:, 1] + latent[:, 2] > 0).long()


def encoder():
    return nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())


class Pretrained(nn.Module):
    def __init__(self):
        super().__init__()
        self.{name}, self.head = encoder(), nn.Linear(64, 2)

    def forward(self, x):
        return self.head(self.{name}(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = encoder(), nn.Linear(64, 2)

    def forward(self, x):
        return self.head(self.encoder(x))


first = Pretrained()
optimizer = torch.optim.Adam(first.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(2000).split(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(first(x[rows]), y[rows]).backward()
        optimizer.step()

model = Model()
state = {{key: value for key, value in first.state_dict().items() if not key.startswith("head")}}
model.load_state_dict(state, strict=False)
for weight in model.encoder.parameters():
    weight.requires_grad = False
optimizer = torch.optim.Adam(model.head.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(2000).split(50):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("accuracy", (model(x[2000:]).argmax(1) == y[2000:]).float().mean().item())
"""

FIRES = _SCRIPT.format(name="backbone")
QUIET = _SCRIPT.format(name="encoder")
