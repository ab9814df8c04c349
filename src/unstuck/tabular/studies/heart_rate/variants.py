"""The variants of the heart-rate study: every combination of network, input and rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unstuck.tabular.studies.heart_rate.data import Form, Source
from unstuck.tabular.studies.nets import Net, Pace

HEART = Source()
WIDTH = 10
LONG, SHORT = 20_000, 6_000
"""Epochs of the main variants, and of those that vary data, width or optimizer."""
SETTLED = 5_000
"""From this epoch on, lanes that have reached 99 % are trained no further (unless `whole`)."""


@dataclass(frozen=True)
class Variant:
    """One way to train: `group` and `name` describe it; `whole`: train to the last epoch in any case."""

    group: str
    source: Source
    form: Form
    net: Net
    pace: Pace
    epochs: int = LONG
    whole: bool = False

    @property
    def name(self) -> str:
        """The name without the group: `raw, rate 0.001, logits, halved every 1000`."""
        words = [self.form if not self.net.norm else "raw + BatchNorm1d", f"rate {self.pace.rate:g}"]
        words += ["logits"] * (self.net.loss == "logits") + ["plain SGD"] * (self.net.optimizer == "sgd")
        words += [f"{self.net.width} units"] * (self.net.width != WIDTH)
        return ", ".join(words + [f"halved every {self.pace.every}"] * bool(self.pace.every))


def heart(form: Form, rate: float, *, logits: bool = False, halved: bool = False, norm: bool = False) -> Variant:
    """A variant on the study's heart rates."""
    net = Net(1, WIDTH, "sigmoid", "logits" if logits else "probabilities", norm)
    return Variant("heart rate", HEART, form, net, Pace(rate, 1000, 0.5) if halved else Pace(rate))


def plane(kind: str, rate: float, centre: float = 0.0) -> Variant:
    """A variant on circles or moons, around `centre` in both coordinates."""
    source = Source(kind, centre)  # type: ignore[arg-type]
    shift = f" + {centre:g}" if centre else ""
    return Variant(kind + shift, source, "raw", Net(2, WIDTH), Pace(rate))


RAW, RAW10, RAW100 = (heart("raw", rate) for rate in (0.001, 0.01, 0.1))
RAW, RAW10 = replace(RAW, whole=True), replace(RAW10, whole=True)
STEPPED, STEPPED10, STEPPED100 = (heart("raw", rate, halved=True) for rate in (0.001, 0.01, 0.1))
LOGITS, LOGITS10 = (heart("raw", rate, logits=True) for rate in (0.001, 0.01))
CENTRED, CENTRED10 = (heart("minus mean", rate) for rate in (0.001, 0.01))
SCALED = heart("over sd", 0.001)
HUNDREDTH, HUNDREDTH10 = (heart("over 100", rate) for rate in (0.001, 0.01))
STANDARD, STANDARD10 = (replace(heart("z-score", rate), whole=True) for rate in (0.001, 0.01))
STANDARD_LOGITS, STANDARD_LOGITS10 = (heart("z-score", rate, logits=True) for rate in (0.001, 0.01))
STANDARD_STEPPED = replace(heart("z-score", 0.001, halved=True), whole=True)
STANDARD_STEPPED10 = heart("z-score", 0.01, halved=True)
NORM, NORM10 = (heart("raw", rate, norm=True) for rate in (0.001, 0.01))
NORM_LOGITS10 = heart("raw", 0.01, norm=True, logits=True)
NORM_STEPPED10 = heart("raw", 0.01, norm=True, halved=True)
CIRCLES, CIRCLES10 = plane("circles", 0.001), plane("circles", 0.01)
MOONS, MOONS10 = plane("moons", 0.001), plane("moons", 0.01)
FAR_CIRCLES, FAR_CIRCLES10 = plane("circles", 0.001, 92.0), plane("circles", 0.01, 92.0)
FAR_MOONS10 = plane("moons", 0.01, 92.0)

STORY = (
    *(CIRCLES, CIRCLES10, MOONS, MOONS10, FAR_CIRCLES, FAR_CIRCLES10, FAR_MOONS10),
    *(RAW, RAW10, RAW100, LOGITS, LOGITS10, STEPPED, STEPPED10, STEPPED100),
    *(CENTRED, CENTRED10, SCALED, HUNDREDTH, HUNDREDTH10),
    *(STANDARD, STANDARD10, STANDARD_LOGITS, STANDARD_LOGITS10, STANDARD_STEPPED, STANDARD_STEPPED10),
    *(NORM, NORM10, NORM_LOGITS10, NORM_STEPPED10),
)


def _varied(group: str, variant: Variant, *, width: int = WIDTH, spread: float = 10.0, sgd: bool = False) -> Variant:
    net = replace(variant.net, width=width, optimizer="sgd" if sgd else "adam")
    source = replace(variant.source, spread=spread)
    return replace(variant, group=group, net=net, source=source, epochs=SHORT, whole=False)


SENSITIVITY = (
    *(_varied("2 units", v, width=2) for v in (RAW, RAW10, STANDARD10)),
    *(_varied("50 units", v, width=50) for v in (RAW, RAW10, STANDARD10)),
    *(_varied("spread 3", v, spread=3.0) for v in (RAW, RAW10, STANDARD10)),
    *(_varied("spread 20", v, spread=20.0) for v in (RAW10, STANDARD10)),
    *(_varied("plain SGD", v, sgd=True) for v in (RAW10, STANDARD10)),
)
