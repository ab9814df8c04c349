"""From paired skills to a word: pre-stated tests over lanes. No torch.

Every lane trains twice from the same start on the same batches, without and with the remedies; what is compared is its
skill over the last quarter of the course. Two tests are made:

* superiority: an exact one-sided signed-rank test at level ALPHA, and a gain of at least LEAST ("heals", "helps");
* equivalence: the 95 % interval of the difference excludes a gain worth having, on a course long enough for the treated
  run to have shown one ("no-difference").

Few lanes (of heavy steps) are compared by Student's t instead (`few_lanes`): ranks of four pairs cannot reach ALPHA.
What passes neither is "undecided": the experiment, not the remedy, was too weak.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, groupby
from statistics import median

from msgspec import Struct

from unstuck.diagnosis import few_lanes
from unstuck.diagnosis.experiment import Arm, Word
from unstuck.diagnosis.skill import LEAST, SETTLED, SHORTEST, WELL, WORTH, healed, rising

ALPHA = 0.01
"""One-sided level of the superiority test. With eight lanes its smallest p is 1/256; two lanes against is 0.02."""
TAIL = 0.025
"""Probability in each tail of the interval."""


class Judgement(Struct, frozen=True):
    """The word, its p-value, the medians it rests on, and whether the experiment could have shown a difference."""

    word: Word
    p: float
    without: float
    treated: float
    interval: tuple[float, float]
    power: str

    @property
    def gain(self) -> float:
        """Difference of the median skills."""
        return self.treated - self.without


def judge(without: Arm, treated: Arm, steps: int) -> Judgement:
    """Compare two arms lane by lane; each skill is at most 1, and 0 for the best constant predictor."""
    before, after = median(without.lanes), median(treated.lanes)
    p, worse, span = _compared(without.lanes, treated.lanes)
    size = f"{len(treated.lanes)} lanes, {steps} steps"
    if worse < ALPHA and before - after >= LEAST:
        return Judgement("harms", p, before, after, span, size)
    if p < ALPHA and after - before >= LEAST:
        return Judgement("heals" if healed(before, after) else "helps", p, before, after, span, size)
    why = weakness(treated, span, steps)
    word: Word = "undecided" if why else "no-difference"
    return Judgement(word, p, before, after, span, f"{size}; {why}" if why else size)


def _compared(low: Sequence[float], high: Sequence[float]) -> tuple[float, float, tuple[float, float]]:
    """p of "higher", p of "lower", and the interval of the difference."""
    if len(low) <= few_lanes.FEW:
        return few_lanes.p_value(low, high), few_lanes.p_value(high, low), few_lanes.interval(low, high, TAIL)
    return p_value(low, high), p_value(high, low), interval(low, high)


def weakness(treated: Arm, span: tuple[float, float], steps: int) -> str:
    """Why these arms do not show that the remedy makes no difference; "" if they do."""
    if steps < SHORTEST:
        return f"fewer than {SHORTEST} steps show nothing"
    if not span[1] < WORTH:
        return f"the 95 % interval, {span[0]:.2f} to {span[1]:.2f}, still allows a relevant gain ({WORTH})"
    if treated.final < SETTLED:
        return f"the treated run has not learned by then (skill {treated.final:.2f}), so it may still differ later"
    if treated.final < WELL and rising(treated.skill):
        return "the treated run is still rising at the end"
    return ""


def p_value(low: Sequence[float], high: Sequence[float]) -> float:
    """One-sided exact Wilcoxon signed-rank p of "high is above low"; 1 where all pairs are equal.

    Equal pairs are left out, and equal differences share their ranks. Written here because importing a library's takes
    longer than many a replay.
    """
    differences = [d for lo, h in zip(low, high, strict=True) if (d := h - lo)]
    if len(low) < 2 or not differences:
        return 1.0
    ranks = doubled_ranks([abs(d) for d in differences])
    reached = sum(rank for rank, d in zip(ranks, differences, strict=True) if d > 0)
    ways = signed_sums(ranks)
    return sum(ways[reached:]) / 2 ** len(ranks)


def interval(low: Sequence[float], high: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the median difference `high - low`, from the Walsh averages (Hodges and Lehmann 1963).

    With fewer than six pairs no such interval exists: the whole axis is returned.
    """
    differences = [h - lo for lo, h in zip(low, high, strict=True)]
    n = len(differences)
    ways = signed_sums(list(range(1, n + 1)))
    total, cut = 0.0, 0
    while cut < len(ways) and (total := total + ways[cut] / 2**n) <= TAIL:
        cut += 1
    if cut == 0:
        return -float("inf"), float("inf")
    averages = sorted((a + b) / 2 for a, b in combinations_with_replacement(differences, 2))
    return averages[cut - 1], averages[-cut]


def signed_sums(ranks: Sequence[int]) -> list[int]:
    """For each sum, in how many of the equally likely choices of signs the positive ranks add up to it."""
    ways = [1] + [0] * sum(ranks)
    for rank in ranks:
        ways = [n + (ways[at - rank] if at >= rank else 0) for at, n in enumerate(ways)]
    return ways


def doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, 2 for the smallest: whole numbers also where equal values share theirs."""
    ranks = [0] * len(values)
    at = 0
    for _, equal in groupby(sorted(range(len(values)), key=values.__getitem__), key=values.__getitem__):
        members = list(equal)
        for index in members:
            ranks[index] = 2 * at + len(members) + 1
        at += len(members)
    return ranks
