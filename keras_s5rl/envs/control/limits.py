"""Joint limits as MuJoCo makes them: a soft constraint, in closed form."""

from typing import Any

from keras import ops

from keras_s5rl.typing import Array, Tensor

# MuJoCo's default `solimp`: the impedance of a limit rises from the first value to the second over
# the width (m, rad).
_LEAST_IMPEDANCE = 0.9
_MOST_IMPEDANCE = 0.95
_IMPEDANCE_WIDTH = 0.001


def gains(time_constant: Array, time_step: Array) -> tuple[Array, Array]:
    """Returns MuJoCo's stiffness (1/s^2) and damping (1/s) of a limit, from its `solreflimit`.

    Args:
        time_constant: Float, seconds. The damping ratio is 1.
        time_step: Float, seconds. MuJoCo makes no limit faster than two of its steps.
    """
    damping = 2.0 / (_MOST_IMPEDANCE * max(time_constant, 2.0 * time_step))
    return damping**2 / 4.0, damping


def limit_force(
    chain: dict[str, Any], slot: int, q: Tensor, v: Tensor, free: Tensor, response: Any
) -> Tensor:
    """Returns the force (N, N m) of the limit `|q| <= limit` of one joint.

    MuJoCo minimises a quadratic of all constraint forces. With a single limit active, or several
    that do not move one another, its minimum is

        f = max(0, (target - free) / (response + slack))
        target = -damping v - stiffness d r
        slack  = (1 - d) / d * inverse_inertia

    in the direction that leads back, where `r < 0` is the distance to the limit, `d` its impedance
    and the other quantities are counted in that direction.

    Args:
        chain: Dict of the chain's constants, see `dynamics`.
        slot: Integer, the joint.
        q, v: Position and speed of the joint, `(num_envs,)`.
        free: Acceleration of the joint without the limit, `(num_envs,)`.
        response: Acceleration of the joint by a unit force on it, `(num_envs,)`.

    Returns:
        float32 `(num_envs,)`, 0 where the joint is inside its limit.

    Reference: MuJoCo documentation, "Computation", sections "Constraint model" and "Parameters".
    """
    side = ops.sign(q)
    distance = chain["limit"][slot] - ops.abs(q)
    impedance = _impedance(-distance)
    target = chain["limit_damping"] * side * v - chain["limit_stiffness"] * impedance * distance
    slack = (1.0 - impedance) / impedance * chain["limit_inverse_inertia"][slot]
    force = ops.maximum((target + side * free) / (response + slack), 0.0)
    return -side * ops.where(distance < 0.0, force, 0.0)


def _impedance(depth: Tensor) -> Tensor:
    """The impedance at a depth inside a limit: two parabolas that meet half way."""
    x = ops.clip(depth / _IMPEDANCE_WIDTH, 0.0, 1.0)
    rise = ops.where(x < 0.5, 2.0 * ops.square(x), 1.0 - 2.0 * ops.square(1.0 - x))
    return _LEAST_IMPEDANCE + (_MOST_IMPEDANCE - _LEAST_IMPEDANCE) * rise
