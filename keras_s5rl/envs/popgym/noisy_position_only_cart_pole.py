"""`NoisyPositionOnlyCartPole`: balance a pole by noisy positions."""

from keras_s5rl.envs.popgym.noisy_positions import NoisyPositions
from keras_s5rl.envs.popgym.position_only_cart_pole import PositionOnlyCartPole

ENVIRONMENTS = {
    "NoisyPositionOnlyCartPole": {
        "NoisyPositionOnlyCartPoleEasy": {"noise_sigma": 0.1},
        "NoisyPositionOnlyCartPoleMedium": {"noise_sigma": 0.2},
        "NoisyPositionOnlyCartPoleHard": {"noise_sigma": 0.3},
    }
}
ALIASES = {
    "NoisyStatelessCartPoleEasy": "NoisyPositionOnlyCartPoleEasy",
    "NoisyStatelessCartPoleMedium": "NoisyPositionOnlyCartPoleMedium",
    "NoisyStatelessCartPoleHard": "NoisyPositionOnlyCartPoleHard",
}


class NoisyPositionOnlyCartPole(NoisyPositions, PositionOnlyCartPole):
    """POPGym's NoisyPositionOnlyCartPole: `PositionOnlyCartPole` with noise on what is seen.

    The paper calls it NoisyStatelessCartPole. Normal noise is added to position (m) and angle
    (rad), then both are clipped to the observation space. Motion, reward and flags are those of
    `PositionOnlyCartPole`.

    Args:
        max_episode_steps: Integer, steps after which an episode is truncated.
        noise_sigma: Number, standard deviation of the noise on both.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("NoisyPositionOnlyCartPoleHard").noise_sigma
    0.3
    """

    def __init__(self, max_episode_steps: int = 200, noise_sigma: float = 0.1) -> None:
        super().__init__(noise_sigma, max_episode_steps=max_episode_steps)
