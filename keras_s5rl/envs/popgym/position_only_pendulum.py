"""`PositionOnlyPendulum`: swing up a pendulum without seeing its speed."""

import math

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "PositionOnlyPendulum": {
        "PositionOnlyPendulumEasy": {"max_episode_steps": 200},
        "PositionOnlyPendulumMedium": {"max_episode_steps": 150},
        "PositionOnlyPendulumHard": {"max_episode_steps": 100},
    }
}
ALIASES = {
    "StatelessPendulumEasy": "PositionOnlyPendulumEasy",
    "StatelessPendulumMedium": "PositionOnlyPendulumMedium",
    "StatelessPendulumHard": "PositionOnlyPendulumHard",
}

_MAX_TORQUE = 2.0
_MAX_SPEED = 8.0
_TIME_STEP = 0.05
_HALF_COST_RANGE = 8.1368022
_TURN_HIGH = 6.28125  # a turn in two parts; small multiples of the first are exact in float32
_TURN_LOW = 2.0 * math.pi - _TURN_HIGH


class PositionOnlyPendulum(Environment):
    """POPGym's PositionOnlyPendulum: Gymnasium's Pendulum, of which only the angle is seen.

    The paper calls it StatelessPendulum.

    The state is the angle `h` (rad, 0 is upright) and the angular speed `h'` (rad/s); the
    observation is `[cos h, sin h]`. With the torque `u` clipped to `[-2, 2]` N m and
    `norm(h) = ((h + pi) mod 2 pi) - pi`

        cost = norm(h)^2 + 0.1 h'^2 + 0.001 u^2         of the state before the step
        h' = clip(h' + 0.05 (15 sin h + 3 u), -8, 8),   h = h + 0.05 h'
        reward = (8.1368022 - cost) / 8.1368022 / max_episode_steps

    so that the return lies in `[-1, 1]`. The episode never terminates and is truncated after
    `max_episode_steps`. It starts uniformly in `h` of `(-pi, pi)` and `h'` of `(-1, 1)`.

    Args:
        max_episode_steps: Integer, steps after which an episode is truncated.

    Raises:
        ValueError: If `max_episode_steps` is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("PositionOnlyPendulumHard").max_episode_steps
    100
    """

    def __init__(self, max_episode_steps: int = 200) -> None:
        check_positive_integer("max_episode_steps", max_episode_steps)
        high = np.ones(2, "float32")
        self.observation_space = gymnasium.spaces.Box(-high, high)
        self.action_space = gymnasium.spaces.Box(-_MAX_TORQUE, _MAX_TORQUE, (1,))
        self.max_episode_steps = max_episode_steps

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        scale = ops.convert_to_tensor([math.pi, 1.0], dtype="float32")
        return {"init_state": random.uniform(key, (num_envs, 2), -1.0, 1.0) * scale}

    def initial(self, draws: Tensors) -> Tensors:
        physics = ops.cast(draws["init_state"], "float32")
        time = ops.zeros_like(physics[:, 0], dtype="int32")
        return {"physics": physics, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        angle, speed = ops.unstack(state["physics"], 2, axis=1)
        torque = ops.clip(action[:, 0], -_MAX_TORQUE, _MAX_TORQUE)
        angle = _wrap(angle)
        cost = ops.square(angle) + 0.1 * ops.square(speed) + 0.001 * ops.square(torque)
        reward = (_HALF_COST_RANGE - cost) / _HALF_COST_RANGE / self.max_episode_steps

        speed = speed + (15.0 * ops.sin(angle) + 3.0 * torque) * _TIME_STEP
        speed = ops.clip(speed, -_MAX_SPEED, _MAX_SPEED)
        angle = angle + speed * _TIME_STEP

        time = state["time"] + 1
        terminated = ops.zeros_like(time, dtype="bool")
        physics = ops.stack([angle, speed], axis=1)
        state = {"physics": physics, "time": time, "terminated": terminated}
        return state, reward, terminated, time >= self.max_episode_steps

    def observation(self, state: Tensors) -> Tensor:
        angle = state["physics"][:, 0]
        return ops.stack([ops.cos(angle), ops.sin(angle)], axis=1)


def _wrap(angle: Tensor) -> Tensor:
    # The reference lets a float64 angle grow. A float32 one would lose digits with every turn, so
    # that whole turns are taken off here; within half a turn the angle stays as it is, to the bit.
    turns = ops.round(angle / (2.0 * math.pi))
    return (angle - turns * _TURN_HIGH) - turns * _TURN_LOW
