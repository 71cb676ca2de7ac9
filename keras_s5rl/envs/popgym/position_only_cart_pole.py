"""`PositionOnlyCartPole`: balance a pole without seeing speeds."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment

_GRAVITY = 9.8
_POLE_MASS = 0.1
_TOTAL_MASS = 1.1
_HALF_LENGTH = 0.5
_POLE_MASS_LENGTH = 0.05
_FORCE = 10.0
_TIME_STEP = 0.02
_MAX_POSITION = 2.4
_MAX_ANGLE = 0.20943951023931953  # 12 degrees


class PositionOnlyCartPole(Environment):
    """POPGym's PositionOnlyCartPole: Gymnasium's CartPole, of which only positions are seen.

    The paper calls it StatelessCartPole.

    The state is the cart's position `x` (m) and speed `x'`, the pole's angle `h` (rad) and angular
    speed `h'`; the observation is `[x, h]`. An action pushes with `F = +10 N` (1) or `-10 N` (0),
    and with all right-hand sides from the old state

        tmp = (F + 0.05 h'^2 sin h) / 1.1
        h'' = (9.8 sin h - cos h tmp) / (0.5 (4/3 - 0.1 cos^2 h / 1.1))
        x'' = tmp - 0.05 h'' cos h / 1.1
        x += 0.02 x',   x' += 0.02 x'',   h += 0.02 h',   h' += 0.02 h''

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

    def __init__(self, max_episode_steps=200):
        check_positive_integer("max_episode_steps", max_episode_steps)
        high = np.array([2 * _MAX_POSITION, 2 * _MAX_ANGLE], "float32")
        self.observation_space = gymnasium.spaces.Box(-high, high)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.max_episode_steps = max_episode_steps

    def draw_initial(self, key, num_envs):
        return {"init_state": random.uniform(key, (num_envs, 4), -0.05, 0.05)}

    def initial(self, draws):
        physics = ops.cast(draws["init_state"], "float32")
        time = ops.zeros_like(physics[:, 0], dtype="int32")
        return {"physics": physics, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(self, state, action, draws):
        x, x_speed, angle, angle_speed = ops.unstack(state["physics"], 4, axis=1)
        force = ops.where(ops.equal(action, 1), _FORCE, -_FORCE)
        cos, sin = ops.cos(angle), ops.sin(angle)
        tmp = (force + _POLE_MASS_LENGTH * ops.square(angle_speed) * sin) / _TOTAL_MASS
        angle_acceleration = (_GRAVITY * sin - cos * tmp) / (
            _HALF_LENGTH * (4.0 / 3.0 - _POLE_MASS * ops.square(cos) / _TOTAL_MASS)
        )
        x_acceleration = tmp - _POLE_MASS_LENGTH * angle_acceleration * cos / _TOTAL_MASS

        x = x + _TIME_STEP * x_speed
        x_speed = x_speed + _TIME_STEP * x_acceleration
        angle = angle + _TIME_STEP * angle_speed
        angle_speed = angle_speed + _TIME_STEP * angle_acceleration

        time = state["time"] + 1
        terminated = ops.logical_or(ops.abs(x) > _MAX_POSITION, ops.abs(angle) > _MAX_ANGLE)
        truncated = time >= self.max_episode_steps
        physics = ops.stack([x, x_speed, angle, angle_speed], axis=1)
        reward = ops.full_like(x, 1.0 / self.max_episode_steps)
        state = {"physics": physics, "time": time, "terminated": terminated}
        return state, reward, terminated, truncated

    def observation(self, state):
        return state["physics"][:, ::2]
