"""Learning curves as arrays: what pictures and comparisons of runs read of their metrics."""

from typing import Any

import numpy as np

from keras_s5rl.runs.files import RunError
from keras_s5rl.typing import Array


def seed_curves(label: str, metrics: dict[str, Any], metric: str) -> list[tuple[Array, Array]]:
    """Returns one `(env_steps, values)` per seed of a run, without the updates that have no value.

    Args:
        label: what errors call the run.
        metrics: the columns that `read_metrics` returns.
        metric: the column; where the run trained several seeds, `<metric>_per_seed` goes before it.

    Returns:
        List of pairs of float64 arrays `(updates,)`; a seed that has no value is not in it.

    Raises:
        RunError: when there is no such column, or it holds something else than numbers.
    """
    per_seed = metrics.get(f"{metric}_per_seed")
    values = metrics.get(metric) if per_seed is None else per_seed
    if values is None or "env_steps" not in metrics:
        raise RunError(
            f"The run {label!r} has no column `{metric}` over `env_steps`. "
            f"Received: columns={sorted(metrics)}"
        )
    try:
        steps = np.asarray(metrics["env_steps"], np.float64)
        values = np.asarray(values, np.float64).reshape(len(steps), -1)
    except (TypeError, ValueError, OverflowError) as error:
        raise RunError(
            f"`{metric}` and `env_steps` of the run {label!r} must be numbers in every line of its "
            f"metrics ({error}). Received: {metric}={str(values)[:80]}"
        ) from None
    curves = []
    for column in values.T:
        known = np.isfinite(column)
        if known.any():
            curves.append((steps[known], column[known]))
    return curves


def smooth(values: Array) -> Array:
    """Returns a centred moving average over 2 % of the values, at the ends over what there is."""
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)
