"""The cifar study: pixels in 0..255 instead of 0..1, and which fixes work for which reason."""

from __future__ import annotations

import math
import platform

import torch

from unstuck.report.html.figures import number
from unstuck.tabular.studies.cifar import advice, causes, law, rates, source, weights
from unstuck.tabular.studies.cifar.evidence import Evidence, Plan, gather, span
from unstuck.tabular.studies.cifar.variants import BASELINE, BOTH, EXACT, EXPLODING, RATE, SCALED, STANDARDISED
from unstuck.tabular.studies.cifar.wording import points, shown
from unstuck.tabular.studies.story import Progress, Request, Study

READING = 0.02
"""Approximate share of the run spent reading the images."""
EXPECTED = 60_000
"""Number of images."""

QUESTION = (
    "A network of 3072, 300 and 10 units with ReLU and without biases learns CIFAR-10 with SGD (rate 0.02, momentum "
    "0.9, weight decay 1e-4, batches of 250) to about 50 % in 20 epochs, on pixels in 0..1. On pixels in 0..255 it "
    "does not converge, and its outputs become zero. Some fixes work and some do not, which puzzles the "
    "asker: the rate divided by 255 does badly; with both layers' initial weights divided by 255 too it works again; "
    "with only the first layer's it does not; and a rate divided by 255^2 works in both layers, although only "
    "the first sees the pixels. Why?"
)


def tell(request: Request, progress: Progress) -> Study:
    """Run the study. Raises Unavailable with instructions if the images are not found."""
    place = source.find(request.data)
    progress(0.0, "reading the images")
    pictures = source.read(place, lambda n: progress(READING * min(1, n / EXPECTED), f"reading the images: {n}"))
    plan = Plan.of(request)
    evidence = gather(pictures, plan, lambda share, what: progress(READING + (1 - READING) * share, what))
    return told(evidence, tuple(source.described(place, pictures)))


def told(e: Evidence, described: tuple[str, ...]) -> Study:
    """The study from its measurements."""
    sections = (
        causes.asked(e),
        causes.kills(e),
        causes.apart(e),
        rates.divided(e),
        weights.both(e),
        weights.first(e),
        rates.squared(e),
        law.law(e),
        law.sweep(e),
        advice.standardised(e),
        advice.decay(e),
        advice.price(e),
    )
    title = "Pixels in 0..255: a network that dies, and which fixes work"
    return Study("cifar", title, QUESTION, _answer(e), sections, (*described, *_made(e)))


def _answer(e: Evidence) -> str:
    return (
        "Multiplying the inputs by c multiplies the first layer's initial weights by c and its rate by c^2, exactly. "
        f"So on inputs times 255 the network as written ({points(e.accuracy(BASELINE))}) has a first rate 65025 times "
        f"too high and first weights 255 times too large, and ends at {points(e.accuracy(SCALED))}. "
        + shown(causes.come_apart(e), _two_causes(e), "")
        + "Rate / 255 is equivalent to the original rate with both initial weights 16 times too large "
        f"({points(e.accuracy(RATE))}); with both weights / 255 as well, to weights 16 times too small "
        f"({points(e.accuracy(BOTH))}). The exact fix is the first weights / 255 and the first rate / 255^2 "
        f"({points(e.accuracy(EXACT))}); the simplest is to standardise the images "
        f"({points(e.accuracy(STANDARDISED))})."
    )


def _two_causes(e: Evidence) -> str:
    return (
        "There are two causes: the scale makes training explode, and inputs that are all positive turn the "
        "explosion into dead units and zero outputs (if centred first, at most "
        f"{number(100 * max(e.watches[EXPLODING].dead))} % of the units are dead in the first steps, while the loss "
        f"goes from {_climb(e)}). "
    )


def _climb(e: Evidence) -> str:
    losses = [v for v in e.watches[EXPLODING].losses if math.isfinite(v)]
    return f"{number(losses[0])} to {number(max(losses))}"


def _made(e: Evidence) -> tuple[str, ...]:
    plan, pace = e.plan, e.pace
    return (
        f"{plan.epochs} epochs; {plan.seeds} seeds for the runs of the question, the first for all others; controls "
        f"{e.short} epochs.",
        f"torch {torch.__version__}, {platform.machine()}, {pace.workers} cores, {span(e.seconds)}.",
        f"{number(pace.rate)} GFLOP/s per core, {number(100 * pace.share, 2)} % of the machine's rate for these "
        f"products; {number(pace.plain / pace.lane, 2)} times as fast as one by one in plain PyTorch.",
    )
