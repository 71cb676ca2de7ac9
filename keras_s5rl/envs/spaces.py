"""Batched tensors of Gymnasium spaces: flat vectors and null values.

One tensor holds the values of all environments: int32 `(num_envs,)` for `Discrete`; int32
`(num_envs, k)` for `MultiDiscrete`, `MultiBinary` and a `Dict` or `Tuple` of discrete spaces, a
column for each number, in the order of Gymnasium; float32 `(num_envs, k)` for `Box`, and for a
`Dict` or `Tuple` that holds one.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.space_leaves import Leaf, check_leaves, leaves
from keras_s5rl.typing import Array, Space, Tensor


def check_supported(name: str, space: Any) -> None:
    """Raises a ValueError unless `space`, which is called `name`, is one of those above.

    Bounds of a `Box` are numbers or infinite, the lower ones not above the upper ones.
    """
    check_leaves(space, name)


def value_dtype(space: Space) -> str:
    """Returns the dtype of the tensor of values: `"float32"` if the space holds a `Box`, else
    `"int32"`."""
    return "float32" if any(leaf.is_box for leaf in leaves(space)) else "int32"


def value_bounds(space: Space) -> tuple[Array, Array]:
    """Returns the lowest and the highest value of each column, two arrays like `null_value`."""
    bounds = []
    for leaf in leaves(space):
        if leaf.is_box:
            bounds.append((_float32(leaf.space.low), _float32(leaf.space.high)))
        else:
            sizes, starts = leaf.classes
            bounds.append((starts, starts + sizes - 1))
    low, high = zip(*bounds, strict=True)
    return _value(space, low), _value(space, high)


def clip(space: Space, actions: Tensor) -> Tensor:
    """Returns actions clipped to their space where it holds a `Box`, discrete ones as they are.

    It stands before every `Environment.transition`: an environment never sees a number out of the
    bounds of its action space.
    """
    if value_dtype(space) == "int32":
        return actions
    low, high = value_bounds(space)
    return ops.clip(ops.cast(actions, "float32"), low, high)


def flat_size(space: Space) -> int:
    """Returns the number of entries of a flattened value."""
    return leaves(space)[-1].flat_stop


def flatten(space: Space, values: Tensor) -> Tensor:
    """Flattens the values of all environments: one-hots of `Discrete` and `MultiDiscrete`, the
    numbers of `MultiBinary` and `Box`, side by side.

    Args:
        space: Gymnasium space of one value.
        values: Tensor of the values.

    Returns:
        float32 tensor of shape `(num_envs, flat_size(space))`. A value outside a discrete space has
        no 1.
    """
    parts = leaves(space)
    if not any(leaf.is_box for leaf in parts):
        return _indicators(parts, values, "int32")
    if len(parts) == 1:
        return ops.reshape(ops.cast(values, "float32"), (-1, flat_size(space)))
    flat = []
    for leaf in parts:
        columns = values[:, leaf.start : leaf.stop]
        flat.append(columns if leaf.is_box else _indicators([leaf], columns, "float32"))
    return ops.concatenate(flat, axis=1)


def flat_bounds(space: Space) -> tuple[Array, Array]:
    """Returns the lowest and the highest flattened value, two float32 arrays `(flat_size,)`."""
    low, high = np.zeros(flat_size(space), "float32"), np.ones(flat_size(space), "float32")
    for leaf in leaves(space):
        if leaf.is_box:
            columns = slice(leaf.flat_start, leaf.flat_stop)
            low[columns], high[columns] = _float32(leaf.space.low), _float32(leaf.space.high)
    return low, high


def mask_columns(space: Space) -> tuple[int, int] | None:
    """Returns the columns `(start, stop)` of the entry `"action_mask"` in a flattened observation,
    or `None` where the space is no `Dict` with this entry.

    Raises:
        ValueError: If the entry is neither `MultiBinary` nor `Box`, nor made of these.
    """
    if not isinstance(space, gymnasium.spaces.Dict) or "action_mask" not in space.spaces:
        return None
    parts = [leaf for leaf in leaves(space) if leaf.path[0] == "action_mask"]
    for leaf in parts:
        if not (leaf.is_box or isinstance(leaf.space, gymnasium.spaces.MultiBinary)):
            raise ValueError(
                "`action_mask`, an entry of the observations, should have a number for each choice "
                "of the action, 0 for those that are illegal: describe it by MultiBinary. "
                f"Received: action_mask={space['action_mask']}"
            )
    return parts[0].flat_start, parts[-1].flat_stop


def flat_is_number(space: Space) -> Array:
    """Returns which entries of a flattened value are numbers of a `Box`: bool `(flat_size,)`."""
    is_number = np.zeros(flat_size(space), bool)
    for leaf in leaves(space):
        is_number[leaf.flat_start : leaf.flat_stop] = leaf.is_box
    return is_number


def flat_entries(space: Space) -> list[dict[str, Any]]:
    """Returns what a flattened value holds, one after the other: dicts of plain values.

    Each has a `shape` and a `scale`, the factor that brings pixels into `[0, 1]`. A `Box` is an
    entry, and so are the discrete leaves between two of them.
    """
    entries: list[dict[str, Any]] = []
    for is_box, group in itertools.groupby(leaves(space), lambda leaf: leaf.is_box):
        if not is_box:
            size = sum(leaf.flat_stop - leaf.flat_start for leaf in group)
            entries.append({"shape": [size], "scale": 1.0})
            continue
        for leaf in group:
            is_pixels = leaf.space.dtype == np.uint8
            scale = 1.0 / max(float(leaf.space.high.max()), 1.0) if is_pixels else 1.0
            entries.append({"shape": list(leaf.space.shape) or [1], "scale": scale})
    return entries


def null_value(space: Space) -> Array:
    """Returns the value that stands for "no action yet": 0 where it is legal, else the lowest one.

    Returns:
        int32 array of shape `()` or `(k,)`, or float32 array of shape `(k,)`.
    """
    low, high = value_bounds(space)
    return np.where((low <= 0) & (high >= 0), 0, low).astype(low.dtype)


def sizes_and_starts(space: Space) -> tuple[list[int], list[int]]:
    """Returns two lists: the number of classes of each column of a discrete space, and the lowest.

    Raises:
        ValueError: If `space` holds a `Box`.
    """
    parts = leaves(space)
    if any(leaf.is_box for leaf in parts):
        raise ValueError(f"`space` should hold no Box. Received: space={space}")
    sizes, starts = zip(*(leaf.classes for leaf in parts), strict=True)
    return np.concatenate(sizes).tolist(), np.concatenate(starts).tolist()


def _indicators(parts: Sequence[Leaf], values: Tensor, dtype: str) -> Tensor:
    """Numbers that are 1 where a column has a class: of all classes, or of the class 1 alone."""
    sizes, starts = [], []
    for leaf in parts:
        if isinstance(leaf.space, gymnasium.spaces.MultiBinary):
            counts, lowest = (np.ones(leaf.stop - leaf.start, int),) * 2
        else:
            counts, lowest = leaf.classes
        sizes += counts.tolist()
        starts += lowest.tolist()
    if len(set(zip(sizes, starts, strict=True))) == 1:
        # Columns alike need no gather, which costs most of the time where there are many.
        classes = np.arange(starts[0], starts[0] + sizes[0], dtype=dtype)
        one_hots = ops.equal(ops.reshape(values, (-1, len(sizes), 1)), classes)
        return ops.reshape(ops.cast(one_hots, "float32"), (-1, sum(sizes)))
    # Entry j of the result compares column `columns[j]` with `classes[j]`: one comparison, however
    # many one-hots there are.
    columns = np.repeat(np.arange(len(sizes)), sizes)
    classes = np.concatenate(
        [np.arange(start, start + size) for size, start in zip(sizes, starts, strict=True)]
    ).astype(dtype)
    values = ops.take(ops.reshape(values, (-1, len(sizes))), columns, axis=1)
    return ops.cast(ops.equal(values, classes), "float32")


def _value(space: Space, columns: Sequence[Array]) -> Array:
    """One value of the space from the columns of its leaves."""
    value = np.concatenate([np.ravel(part) for part in columns]).astype(value_dtype(space))
    return value[0] if isinstance(space, gymnasium.spaces.Discrete) else value


def _float32(bounds: Array) -> Array:
    with np.errstate(over="ignore"):  # bounds that float32 has no number for are infinite
        return bounds.ravel().astype("float32")
