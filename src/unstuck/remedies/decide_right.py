"""Predict from the outputs by their scale: argmax over the classes, or the right threshold."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies._names import needed, spelled
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources

WHY = "it changes what is reported, not the training"


class ThresholdProbabilities(Treatment, frozen=True):
    """A sigmoid is applied to the logits at `sites` before they are rounded or compared."""

    name: ClassVar[str] = "threshold-probabilities"
    trust: ClassVar[Trust] = "safe"
    sites: tuple[Site, ...]

    def summary(self) -> str:
        return "apply sigmoid to the logits before comparing them with 0.5"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        places = [expression_at(sources, site) for site in self.sites]
        wraps = [s for p in places for s in p.wrapped(f"{spelled(p.page, 'torch.sigmoid')}(", ")")]
        return sources.spliced(*wraps, *(s for p in places[:1] for s in needed(p, "torch.sigmoid")))


class PickByClass(Treatment, frozen=True):
    """The `dim` of the argmax, at `site`, becomes that of the classes."""

    name: ClassVar[str] = "pick-by-class"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return "take the argmax over the classes (dim=1)"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(expression_at(sources, self.site).instead("1"))


class HalfThreshold(Treatment, frozen=True):
    """The threshold at `site` becomes 0.5: the output is a probability."""

    name: ClassVar[str] = "half-threshold"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return "threshold the probability at 0.5"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(expression_at(sources, self.site).instead("0.5"))


class DecideByThreshold(Treatment, frozen=True):
    """The argmax of a single output, at `site`, becomes a comparison of the output at `output` with a threshold."""

    name: ClassVar[str] = "decide-by-threshold"
    trust: ClassVar[Trust] = "likely"
    site: Site
    output: Site
    threshold: str
    kept: bool = False
    """The axis of the single output is kept."""

    def summary(self) -> str:
        return f"threshold the single output at {self.threshold}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        output = expression_at(sources, self.output)
        decided = f"({output.operand} > {self.threshold}).long()" + ("" if self.kept else ".squeeze(1)")
        return sources.spliced(expression_at(sources, self.site).instead(decided))
