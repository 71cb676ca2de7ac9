"""`DiagonalGaussian`: continuous actions."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.models.distributions.distribution import Distribution
from keras_s5rl.typing import Tensor

_LOG_2_PI = math.log(2.0 * math.pi)
# Half ranges of an axis that float32 can compute with, standard deviations and their inverses too.
_NARROWEST, _WIDEST = 1e-34, 1e34


@keras.saving.register_keras_serializable("keras_s5rl")
class DiagonalGaussian(Distribution):
    """Independent normal distributions; the parameters are `[mean, log_std]` `(..., 2 * size)`,
    actions float32 `(..., size)`, the numbers of a Box row by row.

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
        self.num_outputs = self.num_log_stds = len(self.low)
        self.num_parameters = 2 * self.num_outputs
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

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
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
