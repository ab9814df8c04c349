"""Sections on the law that explains all runs, the exact fix, and accuracy against input scale."""

from __future__ import annotations

import torch

from unstuck.report.html.figures import Axis, Cell, Lines, Series, Table, number
from unstuck.tabular.scaling import Recipe, balanced
from unstuck.tabular.studies.cifar.evidence import Evidence
from unstuck.tabular.studies.cifar.identities import Identity
from unstuck.tabular.studies.cifar.variants import ASKED, BASELINE, BOTH, EXACT, RATE, WRITTEN, C, Variant
from unstuck.tabular.studies.cifar.wording import listed, points
from unstuck.tabular.studies.story import Section

DERIVATION = (
    "On inputs c x the weights W1 / c give the same network: U = c W1 acts on the original images. The gradient of "
    "W1 is c times that of U. So a step of W1 at rate r moves U by c (from the unit) times c (from the gradient) "
    "times r: training on c x with rate r in the first layer is training on x with rate c^2 r. Momentum is linear in "
    "the gradient and changes nothing; weight decay acts as if divided by c^2. And with ReLU a factor a passes from "
    "one layer to the next: (W1, W2) at rates (r1, r2) is equivalent to (W1 / a, a W2) at (r1 / a^2, a^2 r2)."
)


def law(e: Evidence) -> Section:
    """Dividing W1 by 255 and its rate by 255^2, nothing else."""
    found, base = e.accuracy(EXACT), e.accuracy(BASELINE)
    bits = all(i.same for i in e.identities if i.other.scale != C)
    near = abs(found.values[0] - base.values[0]) < 1.5
    measurement = "\n\n".join((DERIVATION, _repair(e, near), _checks(e), _told(e)))
    return Section(
        "The law: c times the inputs is c^2 times the rate",
        "Training on inputs times c is training on the original inputs with c times the first weights and c^2 times "
        "the first rate. So dividing the first weights by 255 does not remove every difference, as the asker expects.",
        measurement,
        "holds" if bits and near else "partly" if bits or near else "does not hold",
        Table(
            ("run", "W1 x", "W2 x", "rate 1 x", "rate 2 x", "balanced: W1 x", "W2 x", "rate x"),
            tuple(_amount(v) for v in (*ASKED, EXACT)),
            "Each run's equivalent on inputs 0..1, in multiples of the original; balanced: at one rate for both "
            "layers.",
        ),
        (_divergence(e),),
    )


def _repair(e: Evidence, near: bool) -> str:
    exact, base = e.watches[EXACT], e.watches[BASELINE]
    return (
        "So the first weights / 255 make only the first batch equal. All batches become equal with the first rate / "
        "255^2 (and the first weight decay times 255^2), and the second layer unchanged. That run ends at "
        f"{points(e.accuracy(EXACT))} ({points(e.accuracy(BASELINE))} as written), training loss "
        f"{listed(e.loss(EXACT).values)} ({number(e.loss(BASELINE).values[0])}); its first losses are "
        f"{listed(exact.losses[:5], 6)} ({listed(base.losses[:5], 6)})"
        f"{': there is no difference left' if near else ''}."
    )


def _checks(e: Evidence) -> str:
    exact = [i for i in e.identities if i.other.scale != C]
    rounded = [i for i in e.identities if i.other.scale == C]
    same = [i for i in exact if i.same]
    return (
        f"Checked with c = {number(exact[0].other.scale)}, a power of two, which causes no rounding: of {len(exact)} "
        f"equivalent pairs, {len(same)} have the same losses over {exact[0].steps} steps and the same "
        f"final weights, to the last bit ({'; '.join(_pair(i) for i in same)}). With c = 255 the fixed run "
        "differs "
        + " and ".join(f"by at most {number(i.apart, 2)} over {i.steps} steps in {_precision(i)}" for i in rounded)
        + f", which is rounding. {_carried(e)}"
    )


def _carried(e: Evidence) -> str:
    one, other = (e.courses[v][0].losses for v in (BASELINE, EXACT))
    apart = [abs(a - b) for a, b in zip(one, other, strict=False)]
    return f"Training amplifies it: over all {len(apart)} steps the loss of a batch differs by up to {max(apart):.2g}."


def _pair(identity: Identity) -> str:
    return f"'{identity.other.name}'"


def _precision(identity: Identity) -> str:
    return "float64" if identity.dtype == torch.float64 else "float32"


def _told(e: Evidence) -> str:
    forgiven = e.accuracy(BOTH).mean > e.accuracy(RATE).mean + 3
    return (
        "The table shows all runs this way. The asker's rate / 255 was equivalent to the original rate; the difference "
        "was in the initial weights." + (" Small ones do no harm, large ones do." if forgiven else "")
    )


def _amount(variant: Variant) -> tuple[Cell, ...]:
    plain = variant.on_unit_inputs
    return (variant.name, *_weights(plain), *_rates(plain), *_weights(balanced(plain)), _rates(balanced(plain))[0])


def _weights(recipe: Recipe) -> list[float]:
    """Factors on the initial weights of both layers."""
    return [float(layer.weight.init) for layer in recipe.layers]


def _rates(recipe: Recipe) -> list[float]:
    """Rates of both layers in multiples of the original ones."""
    return [float(layer.weight.lr / WRITTEN.layers[0].weight.lr) for layer in recipe.layers]


def _divergence(e: Evidence) -> Lines:
    """How far rounding errors separate the fixed run from the original."""
    one, other = (e.courses[v][0].losses for v in (BASELINE, EXACT))
    apart = [abs(a - b) for a, b in zip(one, other, strict=False)]
    width = max(1, len(apart) // 60)
    blocks = [max(apart[i : i + width]) for i in range(0, len(apart), width)]
    series = Series("largest difference", tuple(width * (i + 0.5) for i in range(len(blocks))), tuple(blocks))
    title = "rounding alone: difference in the loss of a batch between the original and the fixed run, float32"
    return Lines(title, Axis("step"), Axis("difference", log=True), (series,))


def sweep(e: Evidence) -> Section:
    """Accuracy after an epoch against the scale of the inputs."""
    scales = [plain.variant.scale for plain, _ in e.sweep]
    plain, repaired = ([100 * c.last.accuracy for c in column] for column in zip(*e.sweep, strict=True))
    narrow = max(repaired) - min(repaired)
    wide = max(plain) - min(plain)
    holds = narrow < 2 < wide
    measurement = (
        f"After one epoch on inputs times {listed(scales)} the test accuracy of the program as written is "
        f"{listed(plain)} %; fixed, with the weights, rate and decay of the first layer that the law gives, "
        f"{listed(repaired)} %: a range of {number(narrow, 2)} points instead of {number(wide, 2)}. The best unfixed "
        f"scale is {number(scales[plain.index(max(plain))])}, with {max(plain):.1f} %: without the fix, the scale of "
        "the inputs acts like a learning rate and an initial weight."
    )
    across = Axis("inputs multiplied by", log=True)
    series = tuple(
        Series(name, tuple(scales), tuple(values)) for name, values in (("as written", plain), ("fixed", repaired))
    )
    return Section(
        "With the matching recipe any scale trains alike",
        "The scale of the inputs by itself is not a problem: with the matching recipe, any scale trains alike.",
        measurement,
        "holds" if holds else "partly" if narrow < wide else "does not hold",
        None,
        (Lines("after one epoch", across, Axis("test accuracy", "%"), series),),
    )
