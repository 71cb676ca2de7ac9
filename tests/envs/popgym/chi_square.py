"""Pearson's chi-square test, at a level of 1 in 10,000."""

import numpy as np


def statistic(counts, expected):
    """The sum of `(counts - expected)^2 / expected`."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    return float(np.sum((counts - expected) ** 2 / expected))


def limit(degrees_of_freedom):
    """What the statistic exceeds once in 10,000 times (Wilson & Hilferty, 1931)."""
    ninth = 2 / (9 * degrees_of_freedom)
    return degrees_of_freedom * (1 - ninth + 3.719 * ninth**0.5) ** 3


def two_samples(first, second):
    """The statistic of two rows of counts having one distribution, and its limit."""
    counts = np.stack([first, second]).astype(float)
    counts = counts[:, counts.sum(axis=0) > 0]
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return statistic(counts, expected), limit(counts.shape[1] - 1)
