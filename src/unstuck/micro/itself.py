"""Whether a contrastive loss compares rows with themselves, or pairs the wrong ones.

## What it asks

Where a loss is to tell, for each row of the batch, another one that belongs to it, is the row itself among the answers
it chooses from? And does the other one belong to it?

## How

A cross-entropy whose output is a square of similarities between the rows of a batch is looked for in the first step.
There the largest similarity of a row is that with itself: it should be left out, or be the right answer. Then the rows
of the input are compared over several steps, and what the network makes of them at its first weights: two views of one
thing are nearer to each other than others, however little. It is told of where the rows that the loss pairs are not,
while those of another order are (neighbours, or the two halves of the batch).

## What it costs

A few forwards.

## What is healthy

The entries of the diagonal are masked (-inf), taken out, or are the targets (two views, one row each). The order in
which views are joined is the one that the targets of the loss expect.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step
from unstuck.tape.model import Pass
from unstuck.tape.program import Call, Outside, Ref, Value

COST = 1
PRODUCTS = ("matmul", "mm", "cosine_similarity", "cdist", "einsum")
FEWEST = 6
"""Rows."""
NEARLY_ALL = 0.95
"""Share of the rows whose largest similarity is that with itself, at least."""
ALIKE = 1e-3
"""Spread of the diagonal relative to that of all entries: similarities of a row with itself are all the same."""
MOST = 2048
"""Rows whose inputs are compared."""
STEPS = 8
"""Whose rows are compared."""
BELONGS, STRANGE = 6.0, 2.0
"""Standard errors by which partners are nearer to each other than any two rows: of the right order at least, and of a
wrong one at most."""
NEVER = 0.1
"""Share of the rows whose right answer is the row itself, at most."""


@dataclass(frozen=True)
class Itself:
    """The loss that chooses among the rows, and how often a row is nearest to itself."""

    rows: int
    share: float = 0.0
    told: bool = False
    call: Call | None = None
    paired: str = ""
    """What is said of the pairs."""

    @property
    def why(self) -> str:
        """Whether a row is among its own answers."""
        if self.paired:
            return self.paired
        if not self.told or self.call is None:
            return f"none of the {self.rows} rows that a loss compares is a wrong answer to itself"
        return (
            f"{self.call.name} compares each of {self.rows} rows with itself, too: in {self.share:.0%} of them that "
            "similarity is the largest, and no target asks for it; leave the diagonal out (masked_fill with -inf)"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Rows, and the share that is nearest to itself."""
        return {"rows": float(self.rows), "nearest to itself": self.share}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That a row is a wrong answer to itself."""
        told = self.call is not None and (self.told or self.paired)
        return (Statement(self.why, self.call.site, "itself", self.numbers),) if told and self.call else ()


def ask(recorded: Recorded) -> Itself:
    """Look for such a loss. Raises NotApplicable where none compares rows with each other."""
    losses = [call for call in recorded.first.program.calls if call.name == "cross_entropy"]
    found = [one for call in losses if (one := _compared(recorded, call)) is not None]
    if not found:
        raise NotApplicable("no loss compares the rows of the batch with each other")
    return max(found, key=lambda one: (bool(one.paired), one.told))


def _compared(recorded: Recorded, call: Call) -> Itself | None:
    step, output, target = recorded.first, call.argument(0, "input"), call.argument(1, "target")
    if not isinstance(output, Value) or not isinstance(target, Outside | Value) or not _square(step, output):
        return None
    values = step.values({ref.id for ref in (output, target) if isinstance(ref, Value)})
    scores = values[output.id].double()
    wanted = values[target.id] if isinstance(target, Value) else step.outside[target.slot]
    if wanted.dim() != 1 or len(wanted) != len(scores) or wanted.is_floating_point():
        return None
    own = scores.diagonal()
    share = float((own >= scores.amax(1)).double().mean())
    asked = float((wanted == torch.arange(len(wanted), device=wanted.device)).double().mean())
    told = share >= NEARLY_ALL and asked <= NEVER and _same(own, scores)
    return Itself(len(scores), share, told, call, _pairs(recorded, step, output, wanted.cpu()))


def _pairs(recorded: Recorded, step: Step, output: Value, wanted: Tensor) -> str:
    """What is said of the pairs: nothing where the rows show none, or those that the targets ask for.

    Views that were shifted or turned are no nearer to each other as numbers; what a network makes of them at its first
    weights may show it.
    """
    n, number = len(wanted), recorded.tape.passes[0].program
    passes = [p for p in recorded.tape.passes if p.program == number][:STEPS]
    if n % 2 or n > MOST:
        return ""
    inputs = [_views(recorded, p, n) for p in passes]
    said = _wrong_order("inputs", [_distances(batch, n) for batch in inputs if batch is not None], len(passes), wanted)
    rows = _compared_rows(step, output)
    if said or rows is None:
        return said
    made = [recorded.step_of(p, step.weights).values({rows.id})[rows.id].cpu() for p in passes]
    return _wrong_order("first outputs", [_distances(z, n) for z in made if len(z) == n], len(passes), wanted)


def _wrong_order(what: str, far: list[Tensor], steps: int, wanted: Tensor) -> str:
    """The order of the batch in which rows are near to each other, where it is another one than the targets'."""
    if len(far) < steps:
        return ""
    places, n = torch.arange(len(wanted)), len(wanted)
    near = lambda partners: _nearness(far, partners)
    orders = {"neighbours (2k and 2k + 1)": places ^ 1, "halves of the batch (k and k + n/2)": places.roll(n // 2)}
    by, best = max(((name, near(order)) for name, order in orders.items()), key=lambda one: one[1])
    asked = near(wanted)
    if best < BELONGS or asked > STRANGE:
        return ""
    return (
        f"the rows that the loss pairs do not belong together: over {len(far)} steps their {what} are nearer to each "
        f"other than any two by {asked:.1f} standard errors, and those of {by} by {best:.1f}"
    )


def _compared_rows(step: Step, output: Value) -> Value | None:
    """What the similarities are made of: one row for each row of the batch."""
    for call in reversed(step.program.leading_to(output)):
        first = next((r for r in call.refs() if isinstance(r, Value)), None)
        if call.name in PRODUCTS and first is not None:
            return first
    return None


def _views(recorded: Recorded, one: Pass, n: int) -> Tensor | None:
    """The one input with numbers for each row."""
    entering = (recorded.tape.tensors[key] for key in one.outside)
    found = [t for t in entering if t.is_floating_point() and t.dim() > 1 and len(t) == n]
    return found[0] if len(found) == 1 else None


def _distances(views: Tensor, n: int) -> Tensor:
    rows = views.reshape(n, -1).double()
    return torch.cdist(rows, rows)


def _nearness(far: list[Tensor], partners: Tensor) -> float:
    """By how many standard errors partners are nearer to each other than any two rows."""
    places = torch.arange(len(partners))
    other = places != partners
    apart = ~torch.eye(len(partners), dtype=torch.bool)
    gaps = torch.cat([f[apart].mean() - f[places, partners][other] for f in far])
    return float(gaps.mean() / (gaps.std() / len(gaps) ** 0.5).clamp(min=1e-12)) if len(gaps) > 1 else 0.0


def _square(step: Step, output: Ref) -> bool:
    """Whether a value has as many columns as rows, and is made of products (or distances) of what weights made."""
    maker = step.program.maker(output)
    shape = maker.shape if maker is not None else ()
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < FEWEST:
        return False
    products = [c for c in step.program.leading_to(output) if c.shape == shape and not c.weights()]
    return any(c.name in PRODUCTS for c in products)


def _same(own: Tensor, scores: Tensor) -> bool:
    finite = scores[scores.isfinite()]
    return bool(own.isfinite().all()) and float(own.std()) <= ALIKE * float(finite.std())


_SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
kinds = torch.randn(300, 8)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for step in range(40):
    rows = kinds[torch.randint(0, 300, (32,))]
    views = torch.cat([rows + 0.3 * torch.randn(32, 8), rows + 0.3 * torch.randn(32, 8)])
    z = F.normalize(model(views), dim=1)
    scores = z @ z.T / 0.2
    {masked}
    loss = F.cross_entropy(scores, torch.arange(64).roll(32))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
"""

FIRES = _SCRIPT.format(masked="")
QUIET = _SCRIPT.format(masked="scores = scores.masked_fill(torch.eye(64).bool(), float('-inf'))")
