"""Batched tensors of Gymnasium spaces: flat vectors and null values.

One tensor holds the values of all environments: int32 `(num_envs,)` for `Discrete`, int32
`(num_envs, k)` for `MultiDiscrete` and for a `Tuple` of `Discrete`, float32 `(num_envs, k)` for
`Box`.
"""

from typing import Any

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.typing import Array, Space, Tensor


def check_supported(name: str, space: Any) -> None:
    """Raises a ValueError unless `space`, which is called `name`, is one of those above.

    Bounds of a `Box` are numbers or infinite, the lower ones not above the upper ones.
    """
    if not isinstance(space, gymnasium.spaces.Box):
        try:
            sizes_and_starts(space)
        except ValueError as error:
            raise ValueError(str(error).replace("`space`", f"`{name}`", 1)) from None
    elif not np.all((space.low <= space.high) & (space.low < np.inf) & (space.high > -np.inf)):
        raise ValueError(
            f"`{name}` should have lower bounds that are not above the upper ones, and room for "
            f"finite numbers between them. Received: low={space.low}, high={space.high}"
        )


def value_bounds(space: Space) -> tuple[Array, Array]:
    """Returns the lowest and the highest value of each column, two arrays like `null_value`."""
    if isinstance(space, gymnasium.spaces.Box):
        return space.low.astype("float32"), space.high.astype("float32")
    sizes, starts = map(np.array, sizes_and_starts(space))
    ends = starts + sizes - 1
    is_one = isinstance(space, gymnasium.spaces.Discrete)
    return (starts[0], ends[0]) if is_one else (starts, ends)


def clip(space: Space, actions: Tensor) -> Tensor:
    """Returns actions clipped to their space where it is a `Box`, discrete ones as they are.

    It stands before every `Environment.transition`: an environment never sees a number out of the
    bounds of its action space.
    """
    if not isinstance(space, gymnasium.spaces.Box):
        return actions
    low, high = space.low.astype("float32"), space.high.astype("float32")
    return ops.clip(ops.cast(actions, "float32"), low, high)


def flat_size(space: Space) -> int:
    """Returns the number of entries of a flattened value: sizes of one-hots, or `k` of a `Box`."""
    if isinstance(space, gymnasium.spaces.Box):
        return int(np.prod(space.shape))
    return int(sum(sizes_and_starts(space)[0]))


def flatten(space: Space, values: Tensor) -> Tensor:
    """Flattens the values of all environments: one-hots side by side, or the numbers of a `Box`.

    Args:
        space: Gymnasium space of one value.
        values: Tensor of the values.

    Returns:
        float32 tensor of shape `(num_envs, flat_size(space))`. A value outside a discrete space has
        no 1.
    """
    if isinstance(space, gymnasium.spaces.Box):
        return ops.reshape(ops.cast(values, "float32"), (-1, flat_size(space)))
    sizes, starts = sizes_and_starts(space)
    if len(set(zip(sizes, starts, strict=True))) == 1:
        # Columns alike need no gather, which costs most of the time where there are many.
        classes = np.arange(starts[0], starts[0] + sizes[0], dtype="int32")
        one_hots = ops.equal(ops.reshape(values, (-1, len(sizes), 1)), classes)
        return ops.reshape(ops.cast(one_hots, "float32"), (-1, flat_size(space)))
    # Entry j of the result compares column `columns[j]` with `classes[j]`: one comparison, however
    # many one-hots there are.
    columns = np.repeat(np.arange(len(sizes)), sizes)
    classes = np.concatenate(
        [np.arange(start, start + size) for size, start in zip(sizes, starts, strict=True)]
    ).astype("int32")
    values = ops.take(ops.reshape(values, (-1, len(sizes))), columns, axis=1)
    return ops.cast(ops.equal(values, classes), "float32")


def flat_bounds(space: Space) -> tuple[Array, Array]:
    """Returns the lowest and the highest flattened value, two float32 arrays `(flat_size,)`."""
    if isinstance(space, gymnasium.spaces.Box):
        return space.low.ravel().astype("float32"), space.high.ravel().astype("float32")
    size = flat_size(space)
    return np.zeros(size, "float32"), np.ones(size, "float32")


def null_value(space: Space) -> Array:
    """Returns the value that stands for "no action yet": 0 where it is legal, else the lowest one.

    Returns:
        int32 array of shape `()` or `(k,)`, or float32 array of shape `(k,)` for a `Box`.
    """
    if isinstance(space, gymnasium.spaces.Box):
        zero_is_legal = (space.low <= 0) & (space.high >= 0)
        return np.where(zero_is_legal, 0.0, space.low).astype("float32")
    null = [
        0 if start <= 0 < start + size else start
        for size, start in zip(*sizes_and_starts(space), strict=True)
    ]
    return np.array(null[0] if isinstance(space, gymnasium.spaces.Discrete) else null, "int32")


def sizes_and_starts(space: Space) -> tuple[list[int], list[int]]:
    """Returns two lists: the number of classes of each column of a discrete space, and the first.

    Raises:
        ValueError: If `space` is neither `Discrete`, `MultiDiscrete` nor a `Tuple` of `Discrete`.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return [int(space.n)], [int(space.start)]
    if isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return space.nvec.tolist(), space.start.tolist()
    if isinstance(space, gymnasium.spaces.Tuple) and all(
        isinstance(part, gymnasium.spaces.Discrete) for part in space.spaces
    ):
        return [int(part.n) for part in space.spaces], [int(part.start) for part in space.spaces]
    raise ValueError(
        "`space` should be Discrete, MultiDiscrete with one axis, a Tuple of Discrete, or Box. "
        f"Describe observations and actions by one of these. Received: space={space}"
    )
