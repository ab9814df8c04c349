"""Handwritten digits in the format of MNIST: scikit-learn's 8x8 scans, scaled up and shifted on a field of 28x28."""

import numpy as np
from sklearn.datasets import load_digits


def load(train=3000, test=600, seed=0):
    """Pictures (n, 28, 28) of 0..255 and labels (n,), for training and for testing; no scan is in both."""
    scans, labels = load_digits(return_X_y=True)
    scans = np.kron(scans.reshape(-1, 8, 8) * 255 / 16, np.ones((3, 3)))
    order = np.random.default_rng(seed).permutation(len(labels))
    return (*_drawn(scans, labels, order[:1300], train, seed + 1), *_drawn(scans, labels, order[1300:], test, seed + 2))


def _drawn(scans, labels, rows, n, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(rows, n)
    field = np.zeros((n, 28, 28), dtype=np.float32)
    for picture, row in zip(field, chosen, strict=True):
        top, left = rng.integers(0, 5, 2)
        picture[top : top + 24, left : left + 24] = scans[row]
    return field, labels[chosen].astype(np.int64)
