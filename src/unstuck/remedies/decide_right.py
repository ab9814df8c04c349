"""Turn the network's output into answers by the scale it is on: the largest class, or the right threshold."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies._names import needed, spelled
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources

WHY = "the training is the same; only what is reported changes"


class ThresholdProbabilities(Treatment, frozen=True):
    """The expressions at `sites`, which are logits, become probabilities before they are rounded or compared."""

    name: ClassVar[str] = "threshold-probabilities"
    trust: ClassVar[Trust] = "safe"
    sites: tuple[Site, ...]

    def summary(self) -> str:
        return "turn the logits into probabilities before they are compared with one half"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        places = [expression_at(sources, site) for site in self.sites]
        wraps = [s for p in places for s in p.wrapped(f"{spelled(p.page, 'torch.sigmoid')}(", ")")]
        return sources.spliced(*wraps, *(s for p in places[:1] for s in needed(p, "torch.sigmoid")))


class PickByClass(Treatment, frozen=True):
    """The dimension at `site`, over which the largest output is sought, becomes that of the classes."""

    name: ClassVar[str] = "pick-by-class"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return "seek the largest output over the classes (dim=1)"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(expression_at(sources, self.site).instead("1"))


class HalfThreshold(Treatment, frozen=True):
    """The threshold at `site` becomes one half: the output is a probability."""

    name: ClassVar[str] = "half-threshold"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return "compare the probability with one half"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(expression_at(sources, self.site).instead("0.5"))


class DecideByThreshold(Treatment, frozen=True):
    """The call at `site`, which seeks the largest of one output, becomes a comparison of the output at `output`."""

    name: ClassVar[str] = "decide-by-threshold"
    trust: ClassVar[Trust] = "likely"
    site: Site
    output: Site
    threshold: str

    def summary(self) -> str:
        return f"compare the single output with {self.threshold}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        output = expression_at(sources, self.output)
        decided = f"({output.operand} > {self.threshold}).long().squeeze(1)"
        return sources.spliced(expression_at(sources, self.site).instead(decided))
