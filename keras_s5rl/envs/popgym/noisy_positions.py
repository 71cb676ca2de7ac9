"""`NoisyPositions`: normal noise on the observation of a control task."""

import numbers
from typing import Any

from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

_LARGEST_SIGMA = 1e30  # within float32


class NoisyPositions(Environment):
    """Mixin: adds normal noise to the two numbers that an environment shows.

        observation = clip(observation + noise, low, high),   noise ~ N(0, noise_sigma^2)

    with the bounds of the observation space. The noise is drawn anew for every observation: that of
    the first with the initial state, as `noise`, float32 `(num_envs, 2)`. Motion, reward and flags
    are free of noise.

    Args:
        noise_sigma: Number, standard deviation of both components, in units of the observation.
        **kwargs: Arguments of the environment.

    Raises:
        ValueError: If `noise_sigma` is not a number of at least 0.
    """

    def __init__(self, noise_sigma: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        is_number = isinstance(noise_sigma, numbers.Real) and not isinstance(noise_sigma, bool)
        if not is_number or not 0 <= noise_sigma <= _LARGEST_SIGMA:
            raise ValueError(
                "`noise_sigma` should be a finite number of at least 0. Received: "
                f"noise_sigma={noise_sigma!r}"
            )
        self.noise_sigma = noise_sigma

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        key, noise_key = ops.unstack(random.split(key), 2)
        return {**super().draw_initial(key, num_envs), **self.draw_step(noise_key, num_envs)}

    def draw_step(self, key: Tensor, num_envs: int) -> Tensors:
        return {"noise": self.noise_sigma * random.normal(key, (num_envs, 2))}

    def initial(self, draws: Tensors) -> Tensors:
        return {**super().initial(draws), "noise": ops.cast(draws["noise"], "float32")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        state, *outcome = super().transition(state, action, draws)
        return {**state, "noise": ops.cast(draws["noise"], "float32")}, *outcome

    def observation(self, state: Tensors) -> Tensor:
        space = self.observation_space
        return ops.clip(super().observation(state) + state["noise"], space.low, space.high)
