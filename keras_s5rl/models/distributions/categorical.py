"""`Categorical`: one discrete action."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.models.distributions.distribution import Distribution
from keras_s5rl.typing import Tensor

# The logit of an illegal action. Beside any other its probability is exactly 0 in float32, and it
# is finite, so that 0 times its logarithm is 0.
ILLEGAL = -1e9


@keras.saving.register_keras_serializable("keras_s5rl")
class Categorical(Distribution):
    """One of `num_actions` actions, counted from `start`; the parameters are their logits `(...,
    num_actions)`, actions int32 `(...)`."""

    def __init__(self, num_actions: int, start: int = 0) -> None:
        self.num_actions = num_actions
        self.start = start
        self.num_outputs = self.num_parameters = num_actions

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
        return outputs

    def masked(self, parameters: Tensor, mask: Tensor) -> Tensor:
        is_legal = ops.not_equal(mask, 0)
        # At the end of an episode there may be none.
        any_is_legal = ops.any(is_legal, axis=-1, keepdims=True)
        is_legal = ops.logical_or(is_legal, ops.logical_not(any_is_legal))
        return ops.where(is_legal, parameters, ILLEGAL)

    def mode(self, parameters: Tensor) -> Tensor:
        action = ops.cast(ops.argmax(parameters, axis=-1), "int32")
        return action + self.start if self.start else action

    def sample(self, parameters: Tensor, key: Tensor) -> Tensor:
        # The Gumbel-max trick: argmax of logits plus standard Gumbel noise is a draw from their
        # softmax.
        uniform = random.uniform(key, tuple(ops.shape(parameters)), minval=np.finfo("float32").tiny)
        return self.mode(parameters - ops.log(-ops.log(uniform)))

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        log_probs = ops.log_softmax(parameters, axis=-1)
        index = (action - self.start if self.start else action)[..., None]
        return ops.take_along_axis(log_probs, index, axis=-1)[..., 0]

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probs = ops.log_softmax(parameters, axis=-1)
        return -ops.sum(ops.exp(log_probs) * log_probs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"num_actions": self.num_actions, "start": self.start}
