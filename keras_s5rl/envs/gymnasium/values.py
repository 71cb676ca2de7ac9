"""Values that Gymnasium's environments take and return, and the arrays of an `Environment`."""

from collections.abc import Collection
from typing import Any

import gymnasium
import numpy as np

from keras_s5rl.envs.spaces import sizes_and_starts
from keras_s5rl.typing import Array, Space


def array_to_batch(space: Space, values: Array) -> Any:
    """Returns the values of all environments, an element of Gymnasium's `batch_space` of `space`.

    Args:
        space: Gymnasium space of one value.
        values: Array in the format of `Environment`, leading axis `num_envs`.
    """
    if isinstance(space, gymnasium.spaces.Tuple):
        return tuple(column.astype("int64") for column in values.T)
    return values.astype(space.dtype)


def single_value(space: Space, values: Array, index: int) -> Any:
    """Returns the value of one environment, an element of `space`.

    Args:
        space: Gymnasium space of one value.
        values: Array in the format of `Environment`, leading axis `num_envs`.
        index: Integer, which environment.
    """
    if isinstance(space, gymnasium.spaces.Tuple):
        return tuple(values[index].astype("int64"))
    return values[index].astype(space.dtype)


def batch_to_array(space: Space, batch: Any) -> Array:
    """Returns the values of a batch in the format of `Environment`."""
    if isinstance(space, gymnasium.spaces.Tuple):
        batch = np.stack(batch, axis=1)
    is_box = isinstance(space, gymnasium.spaces.Box)
    return np.asarray(batch, "float32" if is_box else "int32")


def single_to_array(space: Space, value: Any) -> Array:
    """Returns one value, an element of `space`, as an array with leading axis 1."""
    is_box = isinstance(space, gymnasium.spaces.Box)
    return np.asarray(value, "float32" if is_box else "int32")[None]


def check_actions(space: Space, actions: Any, num_envs: int | None = None) -> Array:
    """Returns actions in the format of `Environment`.

    Args:
        space: Gymnasium space of one action.
        actions: Element of Gymnasium's `batch_space` of `space`, or of `space` itself if `num_envs`
            is None. Numbers of a `Box` may lie outside its bounds: they are clipped on their way to
            the environment.
        num_envs: Integer, number of environments, or None.

    Returns:
        int32 array of shape `(num_envs,)` or `(num_envs, k)`, or float32 `(num_envs, k)` for a
        `Box`. `num_envs` is 1 for None.

    Raises:
        ValueError: If shape, kind or range of the actions is not that of the space, or a number is
            NaN.
    """
    is_box = isinstance(space, gymnasium.spaces.Box)
    batch = () if num_envs is None else (num_envs,)
    shape, array = space.shape, actions
    if isinstance(space, gymnasium.spaces.Tuple):
        shape, array = (len(space.spaces),), np.stack(actions, axis=-1)
    array = np.asarray(array)
    fits = array.shape == (*batch, *shape) and array.dtype.kind in ("iuf" if is_box else "iu")
    if fits and is_box:
        fits = not np.isnan(array).any()
    elif fits:
        sizes, starts = sizes_and_starts(space)
        classes = array.reshape(-1, len(sizes)) - starts
        fits = ((classes >= 0) & (classes < sizes)).all()
    if not fits:
        expected = "an action" if num_envs is None else f"{num_envs} actions, stacked,"
        raise ValueError(
            f"`actions` should be {expected} of {space}. Received: actions={actions!r}"
        )
    return array.astype("float32" if is_box else "int32").reshape(-1, *shape)


def check_reset(seed: Any, options: Any, known_options: Collection[str] = ()) -> Any:
    """Returns the seed of a reset, a Python integer where it was one of numpy.

    Raises:
        ValueError: If `options` is neither None nor a dict of known options.
    """
    if options is not None and not (isinstance(options, dict) and {*options} <= {*known_options}):
        expected = f"a dict with {', '.join(known_options)}" if known_options else "None or empty"
        raise ValueError(f"`options` should be {expected}. Received: options={options!r}")
    return int(seed) if isinstance(seed, np.integer) else seed
