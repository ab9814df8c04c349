"""From skills to a word: a paired, pre-stated test over lanes, and the smallest set that heals. No torch.

Every lane trains twice from the same start on the same batches, without and with the remedies; what is compared is its
skill over the last quarter of the tape. Under "no difference" a remedy must win in (nearly) every lane by luck alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from unstuck.diagnosis.model import Word

ALPHA = 0.01
"""One-sided level of the paired test. With eight lanes its smallest p is 1/256; two lanes against is already 0.02."""
LEAST = 0.05
"""A difference in skill below this is no difference, however certain."""
LEARNS = 0.15
"""From this skill on a network has learnt something: far outside what a constant predictor shows on a batch."""
STUCK = 0.05
"""Up to this skill it has learnt nothing."""
ROOM = 0.5
"""A remedy that takes at least this share of the way from the present skill to perfection heals."""
FOLD = 2.5
"""So does one that multiplies a poor skill by this much (tasks whose best is far from perfect)."""
POOR = 0.35


@dataclass(frozen=True)
class Judgement:
    """The word, its p-value, and the median skills it rests on."""

    word: Word
    p: float
    without: float
    treated: float

    @property
    def gain(self) -> float:
        """Difference of the median skills."""
        return self.treated - self.without


def judge(without: Sequence[float], treated: Sequence[float]) -> Judgement:
    """Compare paired skills, one pair per lane; each skill at most 1, 0 for the best constant predictor."""
    before, after = median(without), median(treated)
    p, worse = _p(without, treated), _p(treated, without)
    return Judgement(_word(before, after, p, worse), p, before, after)


def _word(before: float, after: float, p: float, worse: float) -> Word:
    gain = after - before
    if worse < ALPHA and -gain >= LEAST:
        return "harms"
    if p >= ALPHA or gain < LEAST:
        return "no-difference"
    return "heals" if _healed(max(before, 0.0), after) else "helps"


def _healed(before: float, after: float) -> bool:
    if after < LEARNS:
        return False
    return after - before >= ROOM * (1 - before) or before <= STUCK or (before < POOR and after >= FOLD * before)


def _p(low: Sequence[float], high: Sequence[float]) -> float:
    """One-sided exact Wilcoxon signed-rank p of "high is above low"; 1 where all pairs are equal.

    Equal pairs are left out, and equal differences share their ranks. Written here because importing a library's takes
    longer than many a replay.
    """
    differences = [d for lo, h in zip(low, high, strict=True) if (d := h - lo)]
    if len(low) < 2 or not differences:
        return 1.0
    ranks = doubled_ranks([abs(d) for d in differences])
    reached = sum(rank for rank, d in zip(ranks, differences, strict=True) if d > 0)
    ways = [1] + [0] * sum(ranks)  # in how many of the equally likely choices of signs the positive ranks add up to it
    for rank in ranks:
        ways = [n + (ways[at - rank] if at >= rank else 0) for at, n in enumerate(ways)]
    return sum(ways[reached:]) / 2 ** len(ranks)


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
