"""Distributions over actions, as functions of the policy's action parameters."""

import itertools
from collections.abc import Sequence

import gymnasium
import numpy as np

from keras_s5rl.models.distributions.categorical import Categorical
from keras_s5rl.models.distributions.diagonal_gaussian import DiagonalGaussian
from keras_s5rl.models.distributions.distribution import Distribution
from keras_s5rl.models.distributions.joint_distribution import JointDistribution
from keras_s5rl.models.distributions.multi_categorical import MultiCategorical
from keras_s5rl.space_leaves import Leaf, leaves
from keras_s5rl.typing import Space

__all__ = [
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "JointDistribution",
    "MultiCategorical",
    "distribution_for",
]


def distribution_for(action_space: Space) -> Distribution:
    """Returns the distribution over a Gymnasium action space.

    `Categorical` over a Discrete, `MultiCategorical` over a MultiDiscrete, a MultiBinary, or a
    Tuple or Dict of discrete spaces, `DiagonalGaussian` over a Box of floats, and
    `JointDistribution` over a Tuple or Dict with both; nested ones too.

    Raises:
        ValueError: If the space is of another kind, or holds integers as a Box.
    """
    if isinstance(action_space, gymnasium.spaces.Discrete):
        return Categorical(int(action_space.n), int(action_space.start))
    found = leaves(action_space, "action_space")
    parts: list[Distribution] = []
    for is_box, group in itertools.groupby(found, lambda leaf: leaf.is_box):
        make = _gaussian if is_box else _multi_categorical
        parts.append(make(list(group)))
    return parts[0] if len(parts) == 1 else JointDistribution(parts)


def _gaussian(boxes: Sequence[Leaf]) -> DiagonalGaussian:
    for box in boxes:
        if not np.issubdtype(box.space.dtype, np.floating):
            raise ValueError(
                "`action_space` should hold boxes of floats alone, as their actions are drawn from "
                "a normal distribution; describe integers by Discrete, MultiDiscrete or "
                f"MultiBinary. Received: {box.name or 'action_space'}={box.space}"
            )
    low, high = (
        np.concatenate([np.ravel(getattr(box.space, bound)) for box in boxes]).tolist()
        for bound in ("low", "high")
    )
    return DiagonalGaussian(low, high)


def _multi_categorical(discrete: Sequence[Leaf]) -> MultiCategorical:
    sizes, starts = zip(*(leaf.classes for leaf in discrete), strict=True)
    return MultiCategorical(np.concatenate(sizes).tolist(), np.concatenate(starts).tolist())
