"""The motion of Gymnasium's CartPole, for the environments built on it.

The physics of each environment is a row `[x, x', h, h']`: the cart's position (m) and speed, the
pole's angle (rad, 0 is upright) and angular speed.
"""

from keras import ops

from keras_s5rl.typing import Tensor

MAX_POSITION = 2.4
MAX_ANGLE = 0.20943951023931953  # 12 degrees

_GRAVITY = 9.8
_POLE_MASS = 0.1
_TOTAL_MASS = 1.1
_HALF_LENGTH = 0.5
_POLE_MASS_LENGTH = 0.05
_FORCE = 10.0
_TIME_STEP = 0.02


def push(physics: Tensor, to_the_right: Tensor) -> Tensor:
    """Pushes the carts with 10 N for 0.02 s.

    With `F = +10 N` or `-10 N`, and with all right-hand sides from the old state

        tmp = (F + 0.05 h'^2 sin h) / 1.1
        h'' = (9.8 sin h - cos h tmp) / (0.5 (4/3 - 0.1 cos^2 h / 1.1))
        x'' = tmp - 0.05 h'' cos h / 1.1
        x += 0.02 x',   x' += 0.02 x'',   h += 0.02 h',   h' += 0.02 h''

    Args:
        physics: float32 tensor of shape `(num_envs, 4)`.
        to_the_right: bool tensor of shape `(num_envs,)`.

    Returns:
        float32 tensor of shape `(num_envs, 4)`.

    Reference: Barto, Sutton and Anderson, 1983, in the form of Gymnasium's CartPole-v1.
    """
    x, x_speed, angle, angle_speed = ops.unstack(physics, 4, axis=1)
    force = ops.where(to_the_right, _FORCE, -_FORCE)
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
    return ops.stack([x, x_speed, angle, angle_speed], axis=1)


def has_fallen(physics: Tensor) -> Tensor:
    """Says which carts have left the track (`|x| > 2.4`) or lean by over 12 degrees: bool
    `(num_envs,)`."""
    left = ops.abs(physics[:, 0]) > MAX_POSITION
    return ops.logical_or(left, ops.abs(physics[:, 2]) > MAX_ANGLE)
