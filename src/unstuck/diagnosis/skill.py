"""The one scale of skill, and every threshold on it.

Skill is (score - baseline) / (1 - baseline): 0 is the best constant answer, 1 is perfection; of a regression it is R2.

    1.00 |  perfect
    0.90 |  WELL       learns well: what a remedy adds here cannot be told from chance
    0.85 |  ENOUGH     a treated run that comes this far needs no second remedy
    0.75 |  PASSED     an evaluation below this may have learnt the wrong thing well
    0.70 |  FAIR       a run above this is not held back by frozen or dropped-out layers
    0.60 |  SETTLED    learns: what a remedy adds is worth knowing, and no fault
    0.35 |  POOR       a poor run is healed by what multiplies its skill (FOLD)
    0.15 |  LEARNS     has learnt something: far outside what a constant answer shows by chance
    0.05 |  STUCK      has learnt nothing
    0.00 |  the best constant answer
    -0.1 |  NO_WORSE   two single runs differ by this much

Differences of two skills: TIED 0.03 < LEAST 0.05 < SHOWS 0.08 < CLOSE 0.12 < WORTH 0.15.
"""

from __future__ import annotations

from collections.abc import Sequence

WELL, ENOUGH, PASSED, FAIR, SETTLED, POOR, LEARNS, STUCK, NO_WORSE = 0.9, 0.85, 0.75, 0.7, 0.6, 0.35, 0.15, 0.05, -0.1
SHORTEST = 40
"""Steps below which nothing is said of a rate, and no difference is evidence: most remedies need tens of steps."""
TIED = 0.03
"""Two skills nearer to each other than this are equal: eight lanes of one program differ by as much."""
LEAST = 0.05
"""A smaller difference is no difference, however certain."""
SHOWS = 0.08
"""Over hundreds of rows in eight lanes chance stays below 0.03; from here on rows are known, or told apart."""
CLOSE = 0.12
"""Remedies nearer to each other than this do the same good."""
WORTH = 0.15
"""A difference worth having. Two single runs of one program differ by less."""
ROOM = 0.5
"""A remedy that goes at least this share of the way from a skill to perfection heals."""
FOLD = 2.5
"""So does one that multiplies a poor skill by this much."""


def leaves_room(skill: float) -> bool:
    """Whether a remedy could still make a difference that can be seen."""
    return skill < WELL


def learns(skill: float) -> bool:
    """Whether the run has learnt something."""
    return skill >= LEARNS


def stuck(skill: float) -> bool:
    """Whether the run has learnt nothing."""
    return skill <= STUCK


def settled(skill: float) -> bool:
    """Whether the run learns, by any measure."""
    return skill >= SETTLED


def fair(skill: float) -> bool:
    """Whether the run knows most of what there is to know."""
    return skill >= FAIR


def enough(skill: float) -> bool:
    """Whether a treated run needs nothing further."""
    return skill >= ENOUGH


def tied(one: float, other: float) -> bool:
    """Whether two skills are equal, as far as lanes of one program agree."""
    return abs(one - other) < TIED


def differs(before: float, after: float) -> bool:
    """Whether the gain is a difference at all."""
    return after - before >= LEAST


def worth_having(before: float, after: float) -> bool:
    """Whether the gain matters to a person: WORTH, and half of what is left for a run that learns anyhow."""
    return after - before >= (WORTH if before < SETTLED else max(WORTH, ROOM * (1 - before)))


def healed(before: float, after: float) -> bool:
    """Whether a skill that is beyond doubt higher is so much higher that the run counts as healed."""
    before = max(before, 0.0)
    if after < LEARNS:
        return False
    return after - before >= ROOM * (1 - before) or before <= STUCK or (before < POOR and after >= FOLD * before)


def below(run: float, baseline: float) -> bool:
    """Whether the rows hold clearly more than a run gets out of them: by the lower end of the baseline's interval."""
    return worth_having(max(0.0, run), baseline)


def apart(training: float, held_out: float) -> bool:
    """Whether a run knows the rows it trains on much better than others: by more than what a network learns anyhow."""
    return settled(training) and worth_having(max(0.0, held_out), training)


def improves(curve: Sequence[float], by: float = TIED) -> bool:
    """Whether the second half of a curve lies above the first: a run that was cut off may still arrive by itself."""
    half = len(curve) // 2
    return half > 0 and sum(curve[-half:]) / half > sum(curve[:half]) / half + by


def rising(curve: Sequence[float], by: float = TIED) -> bool:
    """Whether the last quarter of a curve lies above the quarter before it by more than chance."""
    quarter = max(1, len(curve) // 4)
    last, before = curve[-quarter:], curve[-2 * quarter : -quarter]
    return bool(before) and sum(last) / len(last) > sum(before) / len(before) + by
