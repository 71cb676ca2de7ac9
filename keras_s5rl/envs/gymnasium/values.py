"""Values that Gymnasium's environments take and return, and the arrays of an `Environment`.

A batch is an element of Gymnasium's `batch_space` of a space: arrays with leading axis `num_envs`,
in the dicts and tuples of the space. An array is in the format of `keras_s5rl.envs.spaces`.
"""

from collections.abc import Callable, Collection
from typing import Any

import gymnasium
import numpy as np

from keras_s5rl.envs.spaces import value_bounds, value_dtype
from keras_s5rl.space_leaves import Leaf, leaves
from keras_s5rl.typing import Array, Space


def array_to_batch(space: Space, values: Array) -> Any:
    """Returns the values of all environments as a batch.

    Args:
        space: Gymnasium space of one value.
        values: Array in the format of `Environment`, leading axis `num_envs`.
    """
    columns = values.reshape(len(values), -1)

    def batch(leaf: Leaf) -> Array:
        shape = (len(values), *leaf.space.shape)
        return _in_dtype(leaf, columns[:, leaf.start : leaf.stop].reshape(shape))

    return _arrange(space, batch)


def legal_actions(space: Space, actions: Array) -> Array:
    """Returns actions in the format of `Environment`, those of a `Box` clipped to its bounds."""
    is_discrete = value_dtype(space) == "int32"
    return actions if is_discrete else np.clip(actions, *value_bounds(space))


def single_value(space: Space, values: Array, index: int) -> Any:
    """Returns the value of one environment, an element of `space`.

    Args:
        space: Gymnasium space of one value.
        values: Array in the format of `Environment`, leading axis `num_envs`.
        index: Integer, which environment.
    """
    columns = values[index].reshape(-1)

    def value(leaf: Leaf) -> Any:
        part = _in_dtype(leaf, columns[leaf.start : leaf.stop].reshape(leaf.space.shape))
        return part[()] if isinstance(leaf.space, gymnasium.spaces.Discrete) else part

    return _arrange(space, value)


def batch_to_array(space: Space, batch: Any) -> Array:
    """Returns the values of a batch in the format of `Environment`.

    Args:
        space: Gymnasium space of one value.
        batch: Arrays with leading axis `num_envs`, in the dicts and tuples of the space.
    """
    parts = [(leaf, np.asarray(_entry(leaf, batch))) for leaf in leaves(space)]
    return _join(space, parts)


def single_to_array(space: Space, value: Any) -> Array:
    """Returns one value, an element of `space`, as an array with leading axis 1."""
    return _join(space, [(leaf, np.asarray(_entry(leaf, value))[None]) for leaf in leaves(space)])


def check_actions(space: Space, actions: Any, num_envs: int | None = None) -> Array:
    """Returns actions in the format of `Environment`.

    Args:
        space: Gymnasium space of one action.
        actions: Batch of actions, or an element of `space` itself if `num_envs` is None. Numbers of
            a `Box` may lie outside its bounds: they are clipped on their way to the environment.
        num_envs: Integer, number of environments, or None.

    Returns:
        int32 array of shape `(num_envs,)` or `(num_envs, k)`, or float32 `(num_envs, k)` where the
        space holds a `Box`. `num_envs` is 1 for None.

    Raises:
        ValueError: If structure, shape, kind or range of the actions is not that of the space, or a
            number is NaN.
    """
    try:
        parts = []
        for leaf in leaves(space):
            array = np.asarray(_entry(leaf, actions))
            parts.append((leaf, array[None] if num_envs is None else array))
        fits = all(_fits(leaf, array, num_envs or 1) for leaf, array in parts)
    except (IndexError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        expected = "an action" if num_envs is None else f"{num_envs} actions, stacked,"
        raise ValueError(
            f"`actions` should be {expected} of {space}. Received: actions={actions!r}"
        )
    return _join(space, parts)


def check_reset(seed: Any, options: Any, known_options: Collection[str] = ()) -> Any:
    """Returns the seed of a reset, a Python integer where it was one of numpy.

    Raises:
        ValueError: If `options` is neither None nor a dict of known options.
    """
    if options is not None and not (isinstance(options, dict) and {*options} <= {*known_options}):
        expected = f"a dict with {', '.join(known_options)}" if known_options else "None or empty"
        raise ValueError(f"`options` should be {expected}. Received: options={options!r}")
    return int(seed) if isinstance(seed, np.integer) else seed


def _arrange(space: Space, value_of: Callable[[Leaf], Any]) -> Any:
    """The values of the leaves in the dicts and tuples of the space."""
    parts = leaves(space)
    if not parts[0].path:
        return value_of(parts[0])
    remaining = iter(parts)

    def arrange(part: Space) -> Any:
        if isinstance(part, gymnasium.spaces.Dict):
            return {key: arrange(entry) for key, entry in part.spaces.items()}
        if isinstance(part, gymnasium.spaces.Tuple):
            return tuple(arrange(entry) for entry in part.spaces)
        return value_of(next(remaining))

    return arrange(space)


def _entry(leaf: Leaf, value: Any) -> Any:
    for key in leaf.path:
        value = value[key]
    return value


def _in_dtype(leaf: Leaf, values: Array) -> Array:
    """Values in the dtype of their leaf. Bounds that float32 rounds are exact again."""
    dtype = leaf.space.dtype
    if not leaf.is_box or dtype == np.float32:
        return values.astype(dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        converted = values.astype(dtype)
        for bound in (leaf.space.low, leaf.space.high):
            converted = np.where(values == bound.astype("float32"), bound, converted)
    return converted


def _join(space: Space, parts: list[tuple[Leaf, Array]]) -> Array:
    dtype = value_dtype(space)
    with np.errstate(over="ignore"):
        columns = [array.reshape(len(array), -1).astype(dtype) for _, array in parts]
    if isinstance(space, gymnasium.spaces.Discrete):
        return columns[0][:, 0]
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def _fits(leaf: Leaf, array: Array, num_envs: int) -> bool:
    kinds = "iuf" if leaf.is_box else "iu"
    if isinstance(leaf.space, gymnasium.spaces.MultiBinary):
        kinds += "b"
    if array.shape != (num_envs, *leaf.space.shape) or array.dtype.kind not in kinds:
        return False
    if leaf.is_box:
        return not np.isnan(array).any()
    sizes, starts = leaf.classes
    classes = array.reshape(num_envs, -1).astype("int64") - starts
    return bool(((classes >= 0) & (classes < sizes)).all())
