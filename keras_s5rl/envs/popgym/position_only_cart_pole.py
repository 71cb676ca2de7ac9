"""`PositionOnlyCartPole`: balance a pole without seeing speeds."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs import cart_pole
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "PositionOnlyCartPole": {
        "PositionOnlyCartPoleEasy": {"max_episode_steps": 200},
        "PositionOnlyCartPoleMedium": {"max_episode_steps": 400},
        "PositionOnlyCartPoleHard": {"max_episode_steps": 600},
    }
}
ALIASES = {
    "StatelessCartPoleEasy": "PositionOnlyCartPoleEasy",
    "StatelessCartPoleMedium": "PositionOnlyCartPoleMedium",
    "StatelessCartPoleHard": "PositionOnlyCartPoleHard",
}


class PositionOnlyCartPole(Environment):
    """POPGym's PositionOnlyCartPole: Gymnasium's CartPole, of which only positions are seen.

    The paper calls it StatelessCartPole.

    The state is the cart's position `x` (m) and speed `x'`, the pole's angle `h` (rad) and angular
    speed `h'`; the observation is `[x, h]`. An action pushes the cart with 10 N to the right (1) or
    to the left (0); `keras_s5rl.envs.cart_pole.push` has the equations.

    The episode terminates when `|x| > 2.4` or `|h| > 12` degrees and is truncated after
    `max_episode_steps`; both may happen in one step. Every step, the falling one included, is worth
    `1 / max_episode_steps`. An episode starts uniformly in `(-0.05, 0.05)^4`.

    Args:
        max_episode_steps: Integer, steps after which an episode is truncated.

    Raises:
        ValueError: If `max_episode_steps` is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("PositionOnlyCartPoleHard").max_episode_steps
    600
    """

    def __init__(self, max_episode_steps: int = 200) -> None:
        check_positive_integer("max_episode_steps", max_episode_steps)
        high = np.array([2 * cart_pole.MAX_POSITION, 2 * cart_pole.MAX_ANGLE], "float32")
        self.observation_space = gymnasium.spaces.Box(-high, high)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.max_episode_steps = max_episode_steps

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"init_state": random.uniform(key, (num_envs, 4), -0.05, 0.05)}

    def initial(self, draws: Tensors) -> Tensors:
        physics = ops.cast(draws["init_state"], "float32")
        time = ops.zeros_like(physics[:, 0], dtype="int32")
        return {"physics": physics, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        physics = cart_pole.push(state["physics"], ops.equal(action, 1))
        time = state["time"] + 1
        terminated = cart_pole.has_fallen(physics)
        truncated = time >= self.max_episode_steps
        reward = ops.full_like(physics[:, 0], 1.0 / self.max_episode_steps)
        state = {"physics": physics, "time": time, "terminated": terminated}
        return state, reward, terminated, truncated

    def observation(self, state: Tensors) -> Tensor:
        return state["physics"][:, ::2]
