"""How sure the statistics of several runs are: intervals and tests over seeds."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from keras_s5rl.runs.statistics import Scores, as_scores, iqm, probability_of_improvement
from keras_s5rl.typing import Array

_CHUNK = 2**17  # numbers resampled at a time, so that what a statistic makes of them fits in caches


def bootstrap_interval(
    statistic: Callable[..., Array],
    *scores: Scores,
    level: float = 0.95,
    replications: int = 10_000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Returns a confidence interval by the stratified bootstrap over runs.

    Each replication draws, for each task by itself, as many runs as there are, with replacement,
    and computes the statistic of them. The interval lies between the percentiles
    `(1 - level) / 2` and `(1 + level) / 2`. Several sets of scores are resampled independently, so
    that the interval of a difference between two algorithms is that of one statistic of both.

    A single run has an interval of no width, and few runs have one that is too narrow: the
    bootstrap knows no scores but those it was given.

    Args:
        statistic: function of as many sets of scores, such as
            `keras_s5rl.runs.statistics.iqm`.
        scores: list of arrays `(..., runs)`, one for each task; or several such.
        level: confidence, a number between 0 and 1. Defaults to `0.95`.
        replications: positive integer. Defaults to `10_000`.
        seed: integer, of the draws: the same interval comes again. Defaults to `0`.

    Returns:
        Lower and upper end, float64 arrays of the shape of the statistic.

    Raises:
        ValueError: If there are no scores, `level` is not between 0 and 1, or `replications` is
            not positive.

    Example:

    >>> scores = [[0.1, 0.4, 0.5, 0.6]]
    >>> low, high = bootstrap_interval(iqm, scores)
    >>> bool(low < iqm(scores) < high)
    True

    Reference:

    - [Agarwal et al., 2021](https://arxiv.org/abs/2108.13264): section 4.1
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` should be between 0 and 1. Received: level={level!r}")
    samples = _resample(statistic, [as_scores(given) for given in scores], replications, seed)
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def permutation_p_value(
    scores: Scores, others: Scores, replications: int = 10_000, seed: int = 0
) -> float:
    """Returns how often two algorithms that do not differ would differ at least as clearly.

    Runs are dealt to the two at random, within each task, and the probability of improvement is
    compared with the one that was found, as it is away from 1/2 (a stratified, two-sided
    permutation test). In contrast to an interval it is right for any number of runs.

    Args:
        scores: list of arrays `(runs,)`, one for each task.
        others: list of arrays `(runs,)` for the same tasks.
        replications: positive integer. Defaults to `10_000`.
        seed: integer, of the draws. Defaults to `0`.

    Returns:
        Number from 0 to 1.

    Example:

    >>> permutation_p_value([[1.0, 2.0, 3.0, 4.0, 5.0]], [[6.0, 7.0, 8.0, 9.0]]) < 0.05
    True
    """
    rng = np.random.default_rng(seed)
    pairs = list(zip(as_scores(scores), as_scores(others), strict=True))
    dealt = [
        rng.permuted(np.tile(np.concatenate(pair), (replications, 1)), axis=-1) for pair in pairs
    ]
    by_chance = probability_of_improvement(
        [values[:, : len(runs)] for values, (runs, _) in zip(dealt, pairs, strict=True)],
        [values[:, len(runs) :] for values, (runs, _) in zip(dealt, pairs, strict=True)],
    )
    found = abs(probability_of_improvement(scores, others) - 0.5)
    as_clear = np.count_nonzero(abs(by_chance - 0.5) >= found - 1e-9)
    return float((1 + as_clear) / (1 + replications))


def smallest_p_value(scores: Scores, others: Scores) -> float:
    """Returns the smallest value that a two-sided permutation test of so many runs can have: that
    of two algorithms of which one is better in every run of every task.

        min(1, 2 / prod_m binomial(N_m + K_m, N_m))

    Where it is above 0.05, no scores can show a difference at 95 %.

    Args:
        scores: list of arrays `(runs,)`, one for each task, with `N_m` runs.
        others: list of arrays `(runs,)` for the same tasks, with `K_m` runs.

    Example:

    >>> smallest_p_value([[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]])
    0.1
    """
    ways = (
        math.comb(len(runs) + len(other), len(runs))
        for runs, other in zip(as_scores(scores), as_scores(others), strict=True)
    )
    return min(1.0, 2 / math.prod(ways))


def sample_efficiency_curve(
    curves: Sequence[Sequence[tuple[Array, Array]]],
    statistic: Callable[..., Array] = iqm,
    num_points: int = 100,
    level: float = 0.95,
    replications: int = 2_000,
    seed: int = 0,
) -> tuple[Array, Array, Array, Array]:
    """Returns a statistic of learning curves with its interval at each number of steps.

    Curves are read by linear interpolation, at equal distances between the first number of steps
    that all runs have and the last one. A replication of the bootstrap draws whole runs.

    Args:
        curves: list, for each task, of the `(env_steps, values)` of its runs, arrays of any length.
        statistic: function of scores. Defaults to `keras_s5rl.runs.statistics.iqm`.
        num_points: positive integer, points of the curve. Defaults to `100`.
        level: confidence, a number between 0 and 1. Defaults to `0.95`.
        replications: positive integer. Defaults to `2_000`.
        seed: integer, of the draws. Defaults to `0`.

    Returns:
        Four float64 arrays `(points,)`: steps, the statistic, and the lower and the upper end of
        its interval. They are empty where the runs have no number of steps in common.

    Example:

    >>> steps = np.array([0, 100])
    >>> runs = [(steps, np.array([0.0, 1.0])), (steps, np.array([0.0, 3.0]))]
    >>> at, middle, low, high = sample_efficiency_curve([runs], num_points=3)
    >>> at.tolist(), middle.tolist()
    ([0.0, 50.0, 100.0], [0.0, 1.0, 2.0])
    """
    runs = [run for of_task in curves for run in of_task]
    first = max(steps[0] for steps, _ in runs)
    last = min(steps[-1] for steps, _ in runs)
    if first > last:
        return np.empty(0), np.empty(0), np.empty(0), np.empty(0)
    grid = np.unique(np.linspace(first, last, num_points))
    scores = [
        np.stack([np.interp(grid, steps, values) for steps, values in of_task], axis=-1)
        for of_task in curves
    ]
    low, high = bootstrap_interval(
        statistic, scores, level=level, replications=replications, seed=seed
    )
    return grid, statistic(scores), low, high


def _resample(
    statistic: Callable[..., Array], scores: list[list[Array]], replications: int, seed: int
) -> Array:
    """The statistic of each replication, `(replications, ...)`."""
    if replications < 1:
        raise ValueError(
            f"`replications` should be a positive integer. Received: replications={replications!r}"
        )
    rng = np.random.default_rng(seed)
    numbers = sum(runs.size for given in scores for runs in given)
    chunk = max(1, _CHUNK // max(1, numbers))
    sizes = [min(chunk, replications - start) for start in range(0, replications, chunk)]
    draw = functools.partial(_draw, rng)
    return np.concatenate(
        [statistic(*([draw(runs, size) for runs in given] for given in scores)) for size in sizes]
    )


def _draw(rng: np.random.Generator, runs: Array, size: int) -> Array:
    """So many samples of the runs, with replacement: `(size, ..., runs)`."""
    number = runs.shape[-1]
    drawn = np.take(runs, rng.integers(number, size=(size, number)), axis=-1)
    return np.moveaxis(drawn, -2, 0)
