"""The variants: the asker's program with a changed recipe or a changed preparation of its inputs.

Plain data, no torch. Layer 0 sees the images, layer 1 the hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from unstuck.tabular.scaling import Recipe, equivalent

C = 255.0
"""The asker's factor: pixels in 0..255 instead of 0..1."""
POWER = 256.0
"""The factor of the exact checks: a power of two causes no rounding, so results are bit-identical."""

Preparation = Literal["unit", "standardised", "centred"]
"""Pixels in 0..1; standardised per channel; with only the channel mean subtracted."""
WRITTEN = Recipe.sgd(lr=0.02, momentum=0.9, weight_decay=1e-4)
"""The asker's optimizer, on two layers without biases and with ReLU between them."""


@dataclass(frozen=True)
class Protocol:
    """What all variants have in common."""

    hidden: int = 300
    classes: int = 10
    batch: int = 250
    patience: int = 300
    """A network is stopped after this many consecutive batches with all logits zero: no gradient is left."""


@dataclass(frozen=True, eq=False)
class Variant:
    """One run. Variants are compared by identity, not by value."""

    name: str
    recipe: Recipe = WRITTEN
    scale: float = 1.0
    """The prepared inputs are multiplied by this."""
    preparation: Preparation = "unit"
    he: bool = False
    """Whether initial weights are drawn as in He et al. (2015) instead of torch's default."""
    epochs: int | None = None
    """Maximum number of epochs; None for the study's number."""

    @property
    def inputs(self) -> tuple[Preparation, float]:
        """The key of the input batch: variants with the same key share it."""
        return self.preparation, self.scale

    @property
    def on_unit_inputs(self) -> Recipe:
        """The equivalent recipe for inputs that are not multiplied by `scale`."""
        return equivalent(self.recipe, input_scale=1.0 / self.scale)


def _changed(c: float, *, init: tuple[float, float] = (1.0, 1.0), rate: tuple[float, float] = (1.0, 1.0)) -> Recipe:
    """The recipe as written with initial weights and rates of both layers divided by powers of c."""
    return WRITTEN.times(0, init=c ** -init[0], lr=c ** -rate[0]).times(1, init=c ** -init[1], lr=c ** -rate[1])


def scaled(c: float) -> dict[str, Variant]:
    """The asker's runs on inputs times c, and the one that the law predicts, by short names."""
    x = f"x {c:g}"
    tried = {
        "scaled": (x, _changed(c, init=(0, 0), rate=(0, 0))),
        "rate": (f"{x}, rate / {c:g}", _changed(c, init=(0, 0), rate=(1, 1))),
        "both": (f"{x}, W1 and W2 / {c:g}, rate / {c:g}", _changed(c, init=(1, 1), rate=(1, 1))),
        "first weights": (f"{x}, W1 / {c:g}", _changed(c, init=(1, 0), rate=(0, 0))),
        "first": (f"{x}, W1 / {c:g}, rate / {c:g}", _changed(c, init=(1, 0), rate=(1, 1))),
        "first rate": (f"{x}, W1 / {c:g}, rate 1 / {c:g}", _changed(c, init=(1, 0), rate=(1, 0))),
        "rate only": (f"{x}, rate 1 / {c:g}", _changed(c, init=(0, 0), rate=(1, 0))),
        "square": (f"{x}, rate / {c:g}^2", _changed(c, init=(0, 0), rate=(2, 2))),
        "first square": (f"{x}, W1 / {c:g}, rate / {c:g}^2", _changed(c, init=(1, 0), rate=(2, 2))),
        "exact": (f"{x}, fixed by the law", equivalent(WRITTEN, input_scale=c)),
    }
    return {short: Variant(name, recipe, c) for short, (name, recipe) in tried.items()}


NAMING = (
    "x 255: the inputs are multiplied by 255. W1, W2: the initial weights of the layers; rate 1: that of layer 1, "
    "rate: both."
)
_TRIED = scaled(C)
BASELINE = Variant("as written")
SCALED, RATE, BOTH, FIRST = (_TRIED[k] for k in ("scaled", "rate", "both", "first"))
FIRST_WEIGHTS, FIRST_RATE, RATE_ONLY = (_TRIED[k] for k in ("first weights", "first rate", "rate only"))
SQUARE, FIRST_SQUARE, EXACT = (_TRIED[k] for k in ("square", "first square", "exact"))
STANDARDISED = Variant("standardised", preparation="standardised")
HE = Variant("standardised, He's weights", preparation="standardised", he=True)
CENTRED = Variant("mean subtracted only", preparation="centred")

ASKED = (BASELINE, SCALED, RATE, BOTH, FIRST_WEIGHTS, FIRST, FIRST_RATE, RATE_ONLY, SQUARE, FIRST_SQUARE)
"""What the asker tried."""
PREDICTED = (EXACT, STANDARDISED, HE, CENTRED)
"""The predictions of the law and of the usual advice."""
REPEATED = (BASELINE, SCALED, RATE, BOTH)
"""The runs repeated with further seeds: those of the question."""

FIRST_RATE_UP = Variant(f"as written, rate 1 x {C:g}", WRITTEN.times(0, lr=C))
FROZEN = Variant("as written, rate 2 is 0", WRITTEN.times(1, lr=0.0), epochs=8)
INIT_UP = Variant("as written, W1 and W2 x 16", WRITTEN.times(0, init=C**0.5).times(1, init=C**0.5))
INIT_DOWN = Variant("as written, W1 and W2 / 16", WRITTEN.times(0, init=C**-0.5).times(1, init=C**-0.5))
EXPLODING = Variant(f"standardised, then x {C:g}", scale=C, preparation="standardised")


def without_decay(variant: Variant) -> Variant:
    """The same without weight decay, for eight epochs: long enough to compare."""
    recipe = variant.recipe.times(0, weight_decay=0.0).times(1, weight_decay=0.0)
    return replace(variant, name=f"{variant.name}, no decay", recipe=recipe, epochs=8)


UNDECAYED = {v: without_decay(v) for v in REPEATED}
"""The counterpart of each repeated run without weight decay."""
CONTROLS = (FROZEN, *UNDECAYED.values())
"""Control runs, trained for some epochs to exclude an explanation."""
WATCHED = (*ASKED, EXACT, STANDARDISED, HE, CENTRED, FIRST_RATE_UP, INIT_UP, INIT_DOWN, EXPLODING)
"""Runs observed in detail over the first steps."""
SCALES = (1 / 16, 1 / 4, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 255.0)
"""Input scales for the accuracy after one epoch, with and without the fix."""


def at_scale(c: float, repaired: bool) -> Variant:
    """The program on inputs times c, for one epoch; `repaired` by the law."""
    recipe = equivalent(WRITTEN, input_scale=c) if repaired else WRITTEN
    return Variant(f"x {c:g}{', fixed' * repaired}", recipe, c, epochs=1)
