"""Distributions over actions, as functions of the policy's action parameters.

Each class has the same five members. Parameters and actions may have any leading axes, such as
`(batch,)` or `(batch, time)`.

| member | meaning |
| --- | --- |
| `num_outputs` | units of the actor's last layer |
| `parameters(outputs, log_std)` | float32 `(..., parameters)`, from the actor's outputs |
| `mode(parameters)` | the most likely action, in the environment's format |
| `sample(parameters, key)` | a drawn action |
| `log_prob(parameters, action)`, `entropy(parameters)` | float32 `(...)`, in nats |
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import gymnasium
import keras
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.typing import Space, Tensor

_LOG_2_PI = math.log(2.0 * math.pi)
# Half ranges of an axis that float32 can compute with, standard deviations and their inverses too.
_NARROWEST, _WIDEST = 1e-34, 1e34


def distribution_for(action_space: Space) -> "Categorical | MultiCategorical | DiagonalGaussian":
    """Returns the distribution over a Gymnasium action space.

    Discrete: `Categorical`; MultiDiscrete of one axis: `MultiCategorical`; Box of one axis:
    `DiagonalGaussian`.

    Raises:
        ValueError: If the space is of another kind.
    """
    spaces = gymnasium.spaces
    if isinstance(action_space, spaces.Discrete) and action_space.start == 0:
        return Categorical(int(action_space.n))
    is_multi = isinstance(action_space, spaces.MultiDiscrete) and action_space.nvec.ndim == 1
    if is_multi and not np.any(action_space.start):
        return MultiCategorical([int(n) for n in action_space.nvec])
    is_box = isinstance(action_space, spaces.Box) and len(action_space.shape) == 1
    if is_box and np.issubdtype(action_space.dtype, np.floating):
        return DiagonalGaussian(action_space.low.tolist(), action_space.high.tolist())
    raise ValueError(
        "`action_space` should be a Discrete, a MultiDiscrete or a Box of one axis, discrete "
        "actions counted from 0, those of a Box floats. "
        f"Received: action_space={action_space}"
    )


class Distribution:
    """Base of the distributions: how Keras makes one again from its config."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


@keras.saving.register_keras_serializable("keras_s5rl")
class Categorical(Distribution):
    """One of `num_actions` actions; the parameters are their logits `(..., num_actions)`,
    actions int32 `(...)`."""

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions
        self.num_outputs = num_actions

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
        return outputs

    def mode(self, parameters: Tensor) -> Tensor:
        return ops.cast(ops.argmax(parameters, axis=-1), "int32")

    def sample(self, parameters: Tensor, key: Tensor) -> Tensor:
        # The Gumbel-max trick: argmax of logits plus standard Gumbel noise is a draw from their
        # softmax.
        uniform = random.uniform(key, tuple(ops.shape(parameters)), minval=np.finfo("float32").tiny)
        return self.mode(parameters - ops.log(-ops.log(uniform)))

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        log_probs = ops.log_softmax(parameters, axis=-1)
        return ops.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probs = ops.log_softmax(parameters, axis=-1)
        return -ops.sum(ops.exp(log_probs) * log_probs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"num_actions": self.num_actions}


@keras.saving.register_keras_serializable("keras_s5rl")
class MultiCategorical(Distribution):
    """One independent categorical for each axis of a MultiDiscrete; the parameters are the axes'
    logits side by side `(..., sum(num_actions))`, actions int32 `(..., axes)`."""

    def __init__(self, num_actions: Sequence[int]) -> None:
        self.num_actions = list(num_actions)
        self.num_outputs = sum(self.num_actions)
        self._axes = [Categorical(n) for n in self.num_actions]

    def _split(self, parameters: Tensor) -> Any:
        return ops.split(parameters, np.cumsum(self.num_actions)[:-1].tolist(), axis=-1)

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
        return outputs

    def mode(self, parameters: Tensor) -> Tensor:
        pairs = zip(self._axes, self._split(parameters), strict=True)
        return ops.stack([axis.mode(logits) for axis, logits in pairs], axis=-1)

    def sample(self, parameters: Tensor, key: Tensor) -> Tensor:
        keys = random.split(key, len(self._axes))
        axes = enumerate(zip(self._axes, self._split(parameters), strict=True))
        return ops.stack([axis.sample(logits, keys[i]) for i, (axis, logits) in axes], axis=-1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        axes = enumerate(zip(self._axes, self._split(parameters), strict=True))
        return sum(axis.log_prob(logits, action[..., i]) for i, (axis, logits) in axes)

    def entropy(self, parameters: Tensor) -> Tensor:
        pairs = zip(self._axes, self._split(parameters), strict=True)
        return sum(axis.entropy(logits) for axis, logits in pairs)

    def get_config(self) -> dict[str, Any]:
        return {"num_actions": self.num_actions}


@keras.saving.register_keras_serializable("keras_s5rl")
class DiagonalGaussian(Distribution):
    """Independent normal distributions; the parameters are `[mean, log_std]` `(..., 2 * size)`,
    actions float32 `(..., size)`.

    Actions are not clipped, and log-probabilities are those of the unclipped action: what plays it
    (`keras_s5rl.envs.AgentView`) clips. The actor's outputs and its log standard deviations are in
    units of half the range of the action, so that one initial spread fits every range; parameters
    and actions are in the environment's units. Axes without a bound on a side, or with bounds too
    far apart to compute with, have the unit 1, around the number nearest to 0.

    An axis without room between its bounds has one action, of probability 1: log-probability and
    entropy leave it out.

    Args:
        low, high: Sequences of numbers, the bounds of each axis; they may be infinite.

    Raises:
        ValueError: If the bounds are not numbers, of equal number, with `low` not above `high`.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        self.low = list(low)
        self.high = list(high)
        self.num_outputs = len(self.low)
        least, most = np.asarray(low, "float64"), np.asarray(high, "float64")
        largest = np.finfo("float32").max
        if least.shape != most.shape or not np.all(
            (least <= most) & (least <= largest) & (most >= -largest)
        ):
            raise ValueError(
                "`low` and `high` should be as many numbers, the lower bounds not above the upper "
                "ones and with finite float32 numbers between them. Received: "
                f"low={self.low}, high={self.high}"
            )
        is_bounded = most / 2 - least / 2 <= _WIDEST
        nearest_to_0 = np.clip(0.0, least, most)
        least, most = np.where(is_bounded, least, 0.0), np.where(is_bounded, most, 0.0)
        self._centre = np.where(is_bounded, (most + least) / 2, nearest_to_0).astype("float32")
        unit = np.where(is_bounded, (most - least) / 2, 1.0).astype("float32")
        self._is_fixed = unit < _NARROWEST
        self._unit = np.where(self._is_fixed, 0.0, unit).astype("float32")
        self._log_unit = np.log(np.where(self._is_fixed, 1.0, unit).astype("float32"))

    def _split(self, parameters: Tensor) -> Any:
        return ops.split(parameters, 2, axis=-1)

    def _free(self, values: Tensor) -> Tensor:
        """Values of the axes that have room; 0 on the others."""
        return ops.where(self._is_fixed, 0.0, values) if self._is_fixed.any() else values

    def parameters(self, outputs: Tensor, log_std: Tensor | None) -> Tensor:
        mean = ops.add(self._centre, ops.multiply(self._unit, outputs))
        log_std = self._free(ops.add(log_std, self._log_unit))
        log_std = ops.broadcast_to(log_std, ops.shape(mean))
        return ops.concatenate([mean, log_std], axis=-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return self._split(parameters)[0]

    def sample(self, parameters: Tensor, key: Tensor) -> Tensor:
        mean, log_std = self._split(parameters)
        noise = ops.exp(log_std) * random.normal(key, tuple(ops.shape(mean)))
        return mean + self._free(noise)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        mean, log_std = self._split(parameters)
        error = ops.subtract(action, mean) * ops.exp(-log_std)
        return -ops.sum(self._free(0.5 * ops.square(error) + log_std + 0.5 * _LOG_2_PI), axis=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        _, log_std = self._split(parameters)
        return ops.sum(self._free(log_std + 0.5 * (_LOG_2_PI + 1.0)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}
