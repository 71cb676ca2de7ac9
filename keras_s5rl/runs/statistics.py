"""Statistics of the scores of several runs: point estimates over tasks and seeds.

The definitions are those of Agarwal et al., 2021, and of their library rliable. Scores `x` are a
list of one array for each task m, which holds the scores of its N_m runs (seeds); an array
`(tasks, runs)` will do. Arrays may have axes in front of the runs, such as steps of training or
bootstrap samples; results have them, too. What pools the runs gives each run the same weight, what
averages over tasks each task.

Reference:

- [Agarwal et al., 2021](https://arxiv.org/abs/2108.13264): Deep Reinforcement Learning at the Edge
  of the Statistical Precipice
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s5rl.typing import Array

Scores = Sequence[Any]


def iqm(scores: Scores) -> Array:
    """Returns the interquartile mean: the mean of the middle half of all runs of all tasks.

    With `n` runs in order the lowest and the highest `n // 4` are left out. It is robust to
    outliers as the median is, and needs fewer runs.

    Args:
        scores: list of arrays `(..., runs)`, one for each task.

    Returns:
        float64 array `(...)`.

    Example:

    >>> iqm([[0.0, 1.0, 2.0, 9.0]]).item()
    1.5
    """
    pooled = np.sort(np.concatenate(as_scores(scores), axis=-1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)


def mean(scores: Scores) -> Array:
    """Returns the mean over tasks of the mean over the runs of each.

    Args:
        scores: list of arrays `(..., runs)`, one for each task.

    Returns:
        float64 array `(...)`.

    Example:

    >>> mean([[0.0, 1.0], [3.0, 3.0, 3.0]]).item()
    1.75
    """
    return _task_means(scores).mean(axis=0)


def median(scores: Scores) -> Array:
    """Returns the median over tasks of the mean over the runs of each.

    Args:
        scores: list of arrays `(..., runs)`, one for each task.

    Returns:
        float64 array `(...)`.

    Example:

    >>> median([[0.0, 1.0], [3.0, 3.0], [9.0, 9.0]]).item()
    3.0
    """
    return np.asarray(np.median(_task_means(scores), axis=0))


def optimality_gap(scores: Scores, optimum: float = 1.0) -> Array:
    """Returns by how much the runs fall short of an optimum, beyond which nothing counts:

        optimum - mean_m mean_n min(x_{m,n}, optimum)

    Args:
        scores: list of arrays `(..., runs)`, one for each task.
        optimum: the score that is good enough on every task. Defaults to `1.0`.

    Returns:
        float64 array `(...)`; smaller is better.

    Example:

    >>> optimality_gap([[0.5, 3.0]]).item()
    0.25
    """
    return optimum - mean([np.minimum(runs, optimum) for runs in as_scores(scores)])


def probability_of_improvement(scores: Scores, others: Scores) -> Array:
    """Returns how likely a run of one algorithm is better than one of another, on a random task:

        P(X > Y) = mean_m 1 / (N_m K_m) sum_{n,k} [x_{m,n} > y_{m,k}] + 1/2 [x_{m,n} = y_{m,k}]

    It is the statistic of Mann and Whitney, averaged over tasks, and says nothing about how much
    better. Scales of tasks do not matter.

    Args:
        scores: list of arrays `(..., runs)`, one for each task: `x`.
        others: list of arrays `(..., runs)` for the same tasks: `y`.

    Returns:
        float64 array `(...)`, from 0 to 1.

    Example:

    >>> probability_of_improvement([[2.0, 3.0]], [[1.0, 2.0]]).item()
    0.875
    """
    probabilities = []
    for runs, other in zip(as_scores(scores), as_scores(others), strict=True):
        runs, other = runs[..., :, None], other[..., None, :]
        better = (runs > other).mean(axis=(-2, -1))
        probabilities.append(better + 0.5 * (runs == other).mean(axis=(-2, -1)))
    return np.asarray(np.mean(probabilities, axis=0))


def performance_profile(scores: Scores, thresholds: Any) -> Array:
    """Returns the share of runs with a score above each threshold, averaged over tasks:

        F(tau) = mean_m mean_n [x_{m,n} > tau]

    A profile above another one everywhere is that of an algorithm whose scores are distributed
    better; the area under it is the mean.

    Args:
        scores: list of arrays `(..., runs)`, one for each task.
        thresholds: array `(thresholds,)`: `tau`.

    Returns:
        float64 array `(..., thresholds)`.

    Example:

    >>> performance_profile([[0.2, 0.4, 0.6, 0.8]], [0.0, 0.5, 1.0]).tolist()
    [1.0, 0.5, 0.0]
    """
    above = [runs[..., None] > np.asarray(thresholds) for runs in as_scores(scores)]
    return np.asarray(np.mean([runs.mean(axis=-2) for runs in above], axis=0))


def as_scores(scores: Scores) -> list[Array]:
    """Returns scores as a list of float64 arrays.

    Raises:
        ValueError: If there is no task, a task without runs, or a score that is not finite.
    """
    arrays = [np.asarray(runs, np.float64) for runs in scores]
    if not arrays or not all(runs.ndim and runs.shape[-1] for runs in arrays):
        shapes = [runs.shape for runs in arrays]
        raise ValueError(
            "`scores` should hold an array with at least one run for each task. "
            f"Received: scores of the shapes {shapes}"
        )
    if not all(np.isfinite(runs).all() for runs in arrays):
        raise ValueError(
            "`scores` should be finite; leave out runs without a score. "
            f"Received: scores={[runs.tolist() for runs in arrays]}"[:300]
        )
    return arrays


def _task_means(scores: Scores) -> Array:
    return np.stack([runs.mean(axis=-1) for runs in as_scores(scores)])
