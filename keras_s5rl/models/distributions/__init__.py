"""Distributions over actions, as functions of the policy's action parameters."""

import itertools
from collections.abc import Iterator, Sequence

import gymnasium
import numpy as np

from keras_s5rl.models.distributions.categorical import Categorical
from keras_s5rl.models.distributions.diagonal_gaussian import DiagonalGaussian
from keras_s5rl.models.distributions.distribution import Distribution
from keras_s5rl.models.distributions.joint_distribution import JointDistribution
from keras_s5rl.models.distributions.multi_categorical import MultiCategorical
from keras_s5rl.typing import Space

__all__ = [
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "JointDistribution",
    "MultiCategorical",
    "distribution_for",
]

_SPACES = gymnasium.spaces


def distribution_for(action_space: Space) -> Distribution:
    """Returns the distribution over a Gymnasium action space.

    `Categorical` over a Discrete, `MultiCategorical` over a MultiDiscrete, a MultiBinary, or a
    Tuple or Dict of discrete spaces, `DiagonalGaussian` over a Box of floats, and
    `JointDistribution` over a Tuple or Dict with both; nested ones too.

    Raises:
        ValueError: If the space is of another kind, or holds integers as a Box.
    """
    if isinstance(action_space, _SPACES.Discrete):
        return Categorical(int(action_space.n), int(action_space.start))
    parts: list[Distribution] = []
    leaves = _leaves("action_space", action_space)
    for is_box, group in itertools.groupby(leaves, lambda leaf: isinstance(leaf, _SPACES.Box)):
        make = _gaussian if is_box else _multi_categorical
        parts.append(make(list(group)))
    if not parts:
        raise ValueError(
            f"`action_space` should have at least one entry. Received: action_space={action_space}"
        )
    return parts[0] if len(parts) == 1 else JointDistribution(parts)


def _leaves(name: str, space: Space) -> Iterator[Space]:
    """The entries of a space that hold no others, each with its check."""
    if isinstance(space, _SPACES.Dict | _SPACES.Tuple):
        is_dict = isinstance(space, _SPACES.Dict)
        for key, part in space.spaces.items() if is_dict else enumerate(space.spaces):
            yield from _leaves(f"{name}[{key!r}]", part)
    elif isinstance(space, _SPACES.Box):
        if not np.issubdtype(space.dtype, np.floating):
            raise ValueError(
                f"`{name}` should be a Box of floats, as its actions are drawn from a normal "
                "distribution; describe integers by Discrete, MultiDiscrete or MultiBinary. "
                f"Received: {name}={space}"
            )
        yield space
    elif isinstance(space, _SPACES.Discrete | _SPACES.MultiDiscrete | _SPACES.MultiBinary):
        yield space
    else:
        raise ValueError(
            f"`{name}` should be Discrete, MultiDiscrete, MultiBinary, a Box of floats, or a Dict "
            f"or Tuple of these. Received: {name}={space}"
        )


def _gaussian(boxes: Sequence[Space]) -> DiagonalGaussian:
    low, high = (
        np.concatenate([np.ravel(getattr(box, bound)) for box in boxes]).tolist()
        for bound in ("low", "high")
    )
    return DiagonalGaussian(low, high)


def _multi_categorical(spaces: Sequence[Space]) -> MultiCategorical:
    sizes: list[int] = []
    starts: list[int] = []
    for space in spaces:
        if isinstance(space, _SPACES.MultiBinary):
            numbers = int(np.prod(space.shape))
            sizes, starts = sizes + [2] * numbers, starts + [0] * numbers
        else:
            sizes += np.ravel(space.n if hasattr(space, "n") else space.nvec).tolist()
            starts += np.ravel(space.start).tolist()
    return MultiCategorical(sizes, starts)
