"""What the scripts learn: small generated data sets, each told as somebody might tell it.

Every data part leaves numpy arrays `x` (already mixed) and `y`, near unit scale, and `n_train`. Faults that concern
units change them afterwards, in the part `units`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A data set: the code that makes it, and what a network for it must look like."""

    kind: str
    """binary, multi or number."""
    input: str
    """table, image, series or tokens."""
    n_in: int
    n_out: int
    data: str
    rows: int
    metric: str = "accuracy"
    blind: float = 0.5
    """What the best constant answer scores."""
    styles: tuple[str, ...] = ("sequential", "class")


def _mixed(rows: int) -> str:
    return f"n_train = {int(rows * 0.75)}\n"


RINGS = """
# two coils wound into each other
rng = np.random.default_rng(3)
turn = rng.uniform(0.3, 1.4, 1600) * np.pi * 1.2
y = rng.integers(0, 2, 1600)
x = np.column_stack([turn * np.cos(turn + np.pi * y), turn * np.sin(turn + np.pi * y)]) / 2.5
x = x + 0.08 * rng.normal(size=x.shape)
"""
PATIENTS = """
# four measurements per patient, positive where the readings contradict each other
rng = np.random.default_rng(11)
x = rng.normal(size=(1600, 4))
y = ((x[:, 0] - 0.2) * x[:, 1] + 0.8 * np.sin(2 * x[:, 2]) - 0.4 * x[:, 3] > 0).astype(int)
"""
ALLOYS = """
# six readings of a probe, three alloys
rng = np.random.default_rng(5)
x = rng.normal(size=(1600, 6))
rule = np.column_stack([x[:, 0] + x[:, 1] ** 2 - 1, x[:, 2] * x[:, 3], 1.2 - np.abs(x[:, 4]) - 0.5 * x[:, 5]])
y = (rule + 0.05 * rng.normal(size=rule.shape)).argmax(1)
"""
BEANS = """
# eight shape factors, five sorts in two varieties each
rng = np.random.default_rng(17)
centres = rng.normal(0, 1.3, (10, 8))
sort = rng.integers(0, 10, 1600)
x = centres[sort] + 0.7 * rng.normal(size=(1600, 8))
y = sort % 5
"""
YIELD = """
# yield of a reactor from five settings
rng = np.random.default_rng(23)
x = rng.uniform(-1.7, 1.7, (1600, 5))
y = np.sin(1.5 * x[:, 0]) + 0.6 * x[:, 1] * x[:, 2] - 0.5 * np.abs(x[:, 3]) + 0.1 * x[:, 4]
y = (y - y.mean()) / y.std() + 0.05 * rng.normal(size=1600)
"""
WAVE = """
# one coordinate, a bent curve
rng = np.random.default_rng(31)
x = rng.uniform(-1.8, 1.8, (1600, 1))
y = np.sin(2.2 * x[:, 0]) + 0.5 * x[:, 0] ** 2
y = (y - y.mean()) / y.std() + 0.05 * rng.normal(size=1600)
"""
STAMPS = """
# 10 x 10 pictures: a bar, a column, a frame or a diagonal, in noise
rng = np.random.default_rng(41)
y = rng.integers(0, 4, 1200)
x = 0.5 * rng.normal(size=(1200, 10, 10))
for img, k in zip(x, y):
    r, c = rng.integers(2, 8, 2)
    if k == 0:
        img[r, 1:9] += 2
    elif k == 1:
        img[1:9, c] += 2
    elif k == 2:
        img[[r - 2, r + 1], c - 2:c + 2] += 2
        img[r - 2:r + 2, [c - 2, c + 1]] += 2
    else:
        i = np.arange(1, 9)
        img[i, i] += 2
"""
PULSES = """
# 24 samples of two channels; does the second channel follow the first by two steps, or lead it?
rng = np.random.default_rng(43)
y = rng.integers(0, 2, 1200)
first = rng.normal(size=(1200, 28))
shifted = np.where(y[:, None] == 1, np.roll(first, 1, 1), np.roll(first, -1, 1))
x = np.stack([first, shifted + 0.3 * rng.normal(size=first.shape)], axis=2)[:, 2:26]
"""
TONES = """
# 20 samples of a tone; which of three pitches?
rng = np.random.default_rng(47)
y = rng.integers(0, 3, 1200)
t = np.arange(20)
pitch = np.array([0.35, 0.7, 1.2])[y]
x = np.sin(pitch[:, None] * t + rng.uniform(0, 6.28, (1200, 1))) * 1.3 + 0.3 * rng.normal(size=(1200, 20))
x = x[:, :, None]
"""
WORDS = """
# sentences of 5 to 14 words (0 is padding); the mood is in some of the words
rng = np.random.default_rng(53)
mood = rng.normal(size=60)
x = np.zeros((1600, 14), dtype=int)
for row in x:
    length = rng.integers(5, 15)
    row[:length] = rng.integers(1, 60, length)
score = np.where(x > 0, mood[x], 0).sum(1) / (x > 0).sum(1)
y = (score > np.median(score)).astype(int)
"""

TASKS = {
    "rings": Task("binary", "table", 2, 1, RINGS, 1600),
    "patients": Task("binary", "table", 4, 1, PATIENTS, 1600),
    "alloys": Task("multi", "table", 6, 3, ALLOYS, 1600, blind=0.4),
    "beans": Task("multi", "table", 8, 5, BEANS, 1600, blind=0.22),
    "reactor": Task("number", "table", 5, 1, YIELD, 1600, "r2", 0.0),
    "curve": Task("number", "table", 1, 1, WAVE, 1600, "r2", 0.0),
    "stamps": Task("multi", "image", 100, 4, STAMPS, 1200, blind=0.27),
    "pulses": Task("binary", "series", 2, 1, PULSES, 1200, styles=("class",)),
    "tones": Task("multi", "series", 1, 3, TONES, 1200, blind=0.35, styles=("class",)),
    "words": Task("binary", "tokens", 60, 1, WORDS, 1600, styles=("class",)),
}
