"""Tables that anyone can write down from a formula: games, logic, and engineers' test functions.

The defaults of the fit were never set by these; `benchmarks.tables` holds those that they were looked at on.
"""

from __future__ import annotations

from itertools import product

import numpy as np

Made = tuple[str, np.ndarray, np.ndarray, bool]
"""Name, x (n, d), y (n,), and whether y holds classes."""


def formulas() -> list[Made]:
    """All of them, the same every time."""
    rng = np.random.default_rng(7)
    classes = [balance_scale(), tic_tac_toe(), monks(rng), waveform(rng), ringnorm(rng), hastie(rng), rings(rng)]
    numbers = [borehole(rng), ishigami(rng), robot_arm(rng), circuit(rng), wing(rng)]
    return [(*t, True) for t in classes] + [(*t, False) for t in numbers]


def balance_scale():
    """Every pair of weights and arms from 1 to 5: left, balanced, right (Siegler 1976)."""
    x = np.array(list(product(range(1, 6), repeat=4)), float)
    return "balance", x, (np.sign(x[:, 0] * x[:, 1] - x[:, 2] * x[:, 3]) + 1).astype(int)


def tic_tac_toe():
    """Every board at the end of a game that x began; whether x has won (Aha 1991)."""
    lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
    ends: dict[tuple[int, ...], int] = {}

    def play(board: tuple[int, ...], mover: int) -> None:
        won = any(all(board[i] == -mover for i in line) for line in lines)
        if won or 0 not in board:
            ends[board] = int(won and mover == -1)
            return
        for i in range(9):
            if not board[i]:
                play((*board[:i], mover, *board[i + 1 :]), -mover)

    play((0,) * 9, 1)
    return "tictactoe", np.array(list(ends), float), np.array(list(ends.values()))


def monks(rng):
    """Exactly two of six attributes have their first value (Thrun 1991), one label in twenty turned."""
    x = np.array(list(product(range(3), range(3), range(2), range(3), range(4), range(2))), float)
    y = ((x == 0).sum(1) == 2).astype(int)
    return "monks", x, y ^ (rng.uniform(size=len(y)) < 0.05)


def waveform(rng, rows=3000):
    """Mixtures of two of three triangles, under noise (Breiman 1984)."""
    t = np.arange(21)
    hills = np.array([np.maximum(6 - abs(t - c), 0) for c in (6, 14, 10)], float)
    y, share = rng.integers(0, 3, rows), rng.uniform(size=(rows, 1))
    first, second = hills[y], hills[(y + 1) % 3]
    return "waveform", share * first + (1 - share) * second + rng.normal(size=(rows, 21)), y


def ringnorm(rng, rows=3000):
    """Two Gaussians in 20 dimensions, one of four times the variance (Breiman 1996)."""
    y = rng.integers(0, 2, rows)
    x = rng.normal(size=(rows, 20))
    return "ringnorm", np.where(y[:, None] == 0, 2 * x, x + 2 / np.sqrt(20)), y


def hastie(rng, rows=4000):
    """Whether ten squares add to more than their median (Hastie et al., 10.2)."""
    x = rng.normal(size=(rows, 10))
    return "hastie", x, ((x**2).sum(1) > 9.34).astype(int)


def rings(rng, rows=2500):
    """Five rings in the plane, among three columns of other units that say nothing."""
    y = rng.integers(0, 5, rows)
    radius, angle = y + 1 + 0.25 * rng.normal(size=rows), rng.uniform(0, 2 * np.pi, rows)
    idle = np.exp(rng.normal(size=(rows, 3))) * (1e-3, 1.0, 1e5)
    return "rings", np.c_[radius * np.cos(angle), radius * np.sin(angle), idle], y


def borehole(rng, rows=3000):
    """Water through a borehole (Harper and Gupta 1983), columns in metres and square metres per year."""
    low = np.array([0.05, 100, 63070, 990, 63.1, 700, 1120, 9855])
    high = np.array([0.15, 50000, 115600, 1110, 116, 820, 1680, 12045])
    rw, r, tu, hu, tl, hl, length, kw = x = (low + (high - low) * rng.uniform(size=(rows, 8))).T
    log = np.log(r / rw)
    flow = 2 * np.pi * tu * (hu - hl) / (log * (1 + 2 * length * tu / (log * rw**2 * kw) + tu / tl))
    return "borehole", x.T, flow * (1 + 0.02 * rng.normal(size=rows))


def ishigami(rng, rows=3000):
    """sin a + 7 sin^2 b + 0.1 c^4 sin a (Ishigami and Homma 1990), with a little noise."""
    a, b, c = x = rng.uniform(-np.pi, np.pi, (3, rows))
    return "ishigami", x.T, np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a) + 0.2 * rng.normal(size=rows)


def robot_arm(rng, rows=4000):
    """How far a hand of four joints reaches (An and Owen 2001)."""
    turns, lengths = rng.uniform(0, 2 * np.pi, (rows, 4)), rng.uniform(0, 1, (rows, 4))
    way = np.cumsum(turns, axis=1)
    return "arm", np.c_[turns, lengths], np.hypot((lengths * np.cos(way)).sum(1), (lengths * np.sin(way)).sum(1))


def circuit(rng, rows=2000):
    """The midpoint voltage of an amplifier without a transformer (Ben-Ari and Steinberg 2007)."""
    low, high = np.array([50, 25, 0.5, 1.2, 0.25, 50]), np.array([150, 70, 3, 2.5, 1.2, 300])
    b1, b2, f, c1, c2, beta = x = (low + (high - low) * rng.uniform(size=(rows, 6))).T
    vb1, gain = 12 * b2 / (b1 + b2), beta * (c2 + 9)
    volts = (vb1 + 0.74) * gain / (gain + f) + 11.35 * f / (gain + f) + 0.74 * f * gain / ((gain + f) * c1)
    return "circuit", x.T, volts + 0.05 * rng.normal(size=rows)


def wing(rng, rows=3000):
    """The weight of a light aircraft's wing (Forrester et al. 2008)."""
    low = np.array([150, 220, 6, -10, 16, 0.5, 0.08, 2.5, 1700, 0.025])
    high = np.array([200, 300, 10, 10, 45, 1, 0.18, 6, 2500, 0.08])
    s, fuel, a, sweep, q, taper, tc, n, gross, paint = x = (low + (high - low) * rng.uniform(size=(rows, 10))).T
    cos = np.cos(np.deg2rad(sweep))
    weight = 0.036 * s**0.758 * fuel**0.0035 * (a / cos**2) ** 0.6 * q**0.006 * taper**0.04
    weight = weight * (100 * tc / cos) ** -0.3 * (n * gross) ** 0.49 + s * paint
    return "wing", x.T, weight + 5 * rng.normal(size=rows)
