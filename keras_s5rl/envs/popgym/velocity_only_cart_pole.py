"""`VelocityOnlyCartPole`: balance a pole by its speeds alone."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.envs.popgym.position_only_cart_pole import PositionOnlyCartPole
from keras_s5rl.typing import Tensor, Tensors

# POPGym spells these with a small p.
ENVIRONMENTS = {
    "VelocityOnlyCartPole": {
        "VelocityOnlyCartpoleEasy": {"max_episode_steps": 200},
        "VelocityOnlyCartpoleMedium": {"max_episode_steps": 400},
        "VelocityOnlyCartpoleHard": {"max_episode_steps": 600},
    }
}


class VelocityOnlyCartPole(PositionOnlyCartPole):
    """POPGym's VelocityOnlyCartpole: Gymnasium's CartPole, of which only speeds are seen.

    The observation is `[x', h']` (m/s, rad/s), without bounds. **The first observation of an
    episode is `[x, h]`**: a slip of popgym 1.0.7, which is kept so that episodes are equal. Motion,
    reward and flags are those of `PositionOnlyCartPole`.

    Args:
        max_episode_steps: Integer, steps after which an episode is truncated.

    Raises:
        ValueError: If `max_episode_steps` is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("VelocityOnlyCartpoleHard").max_episode_steps
    600
    """

    def __init__(self, max_episode_steps: int = 200) -> None:
        super().__init__(max_episode_steps)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))

    def observation(self, state: Tensors) -> Tensor:
        positions, speeds = state["physics"][:, ::2], state["physics"][:, 1::2]
        return ops.where(ops.expand_dims(ops.equal(state["time"], 0), 1), positions, speeds)
