"""`TIERS`: what a projected context is drawn from, in training and in three held-out ways."""

import dataclasses
import math

from keras import ops

from keras_s5rl import random
from keras_s5rl.typing import Tensor, Tensors

TRAIN_TASKS = (
    "reacher_easy",
    "cartpole_balance",
    "cartpole_swingup",
    "point_mass_easy",
    "pendulum_swingup",
    "acrobot_swingup",
)
NEW_TASKS = (
    "cartpole_two_poles",
    "reacher_hard",
    "cartpole_swingup_sparse",
    "cartpole_balance_sparse",
    "cartpole_three_poles",
)
MAX_PHYSICS_RANGE = 0.3
SCALED = ("mass", "length", "gear", "damping")


@dataclasses.dataclass(frozen=True)
class Tier:
    """The tasks of a tier, the number of its bank, and the physics if it has its own.

    Args:
        tasks: Tuple of names.
        bank: Integer, no two tiers have the same.
        physics_range: Pair of the least and the largest range (see `draw_scales`), or None where
            the environment says it.
    """

    tasks: tuple[str, ...]
    bank: int
    physics_range: tuple[float, float] | None = None


TIERS = {
    "train": Tier(TRAIN_TASKS, bank=0),
    "T1": Tier(TRAIN_TASKS, bank=1),
    "T2": Tier(NEW_TASKS, bank=2),
    "T3": Tier(TRAIN_TASKS, bank=3, physics_range=(MAX_PHYSICS_RANGE, 0.6)),
}


def draw_scales(key: Tensor, num_envs: int, least: float, largest: float) -> Tensors:
    """Draws factors on masses, lengths, gears and damping, independent of one another.

    A factor is `exp(r)` or `exp(-r)`, either as likely, with `r` uniform between `log(1 + least)`
    and `log(1 + largest)`.

    Args:
        key: uint32 tensor of shape `(2,)`.
        num_envs: Integer, number of environments.
        least, largest: Floats, `0 <= least <= largest`.

    Returns:
        Dict of `mass`, `length`, `gear`, `damping`, float32 `(num_envs,)`.
    """
    draws = random.uniform(key, (len(SCALED), num_envs), -1.0, 1.0)
    near, far = math.log1p(least), math.log1p(largest)
    factors = ops.exp(ops.sign(draws) * (near + ops.abs(draws) * (far - near)))
    return dict(zip(SCALED, ops.unstack(factors, len(SCALED)), strict=True))
