"""`MultiCategorical`: several discrete actions at once."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.models.distributions.categorical import Categorical
from keras_s5rl.models.distributions.distribution import Distribution
from keras_s5rl.typing import Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class MultiCategorical(Distribution):
    """One independent categorical for each number of a discrete action; the parameters are their
    logits side by side `(..., sum(num_actions))`, actions int32 `(..., len(num_actions))`.

    Args:
        num_actions: Sequence of integers, the classes of each number.
        starts: Sequence of integers, the lowest class of each; `None` for zeros. Defaults to
            `None`.
    """

    def __init__(self, num_actions: Sequence[int], starts: Sequence[int] | None = None) -> None:
        self.num_actions = list(num_actions)
        self.starts = [0] * len(self.num_actions) if starts is None else list(starts)
        self.num_outputs = self.num_parameters = sum(self.num_actions)
        pairs = zip(self.num_actions, self.starts, strict=True)
        self._axes = [Categorical(n, start) for n, start in pairs]

    def _split(self, parameters: Tensor) -> Any:
        if len(self.num_actions) == 1:  # Keras' split on torch fails without a place to split at
            return [parameters]
        return ops.split(parameters, np.cumsum(self.num_actions)[:-1].tolist(), axis=-1)

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
        return outputs

    def masked(self, parameters: Tensor, mask: Tensor) -> Tensor:
        each = zip(self._axes, self._split(parameters), self._split(mask), strict=True)
        return ops.concatenate([axis.masked(*inputs) for axis, *inputs in each], axis=-1)

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
        return {"num_actions": self.num_actions, "starts": self.starts}
