"""`NoisyPositionOnlyPendulum`: swing up a pendulum by a noisy view of its angle."""

from keras_s5rl.envs.popgym.noisy_positions import NoisyPositions
from keras_s5rl.envs.popgym.position_only_pendulum import PositionOnlyPendulum

ENVIRONMENTS = {
    "NoisyPositionOnlyPendulum": {
        "NoisyPositionOnlyPendulumEasy": {"noise_sigma": 0.1},
        "NoisyPositionOnlyPendulumMedium": {"noise_sigma": 0.2},
        "NoisyPositionOnlyPendulumHard": {"noise_sigma": 0.3},
    }
}
ALIASES = {
    "NoisyStatelessPendulumEasy": "NoisyPositionOnlyPendulumEasy",
    "NoisyStatelessPendulumMedium": "NoisyPositionOnlyPendulumMedium",
    "NoisyStatelessPendulumHard": "NoisyPositionOnlyPendulumHard",
}


class NoisyPositionOnlyPendulum(NoisyPositions, PositionOnlyPendulum):
    """POPGym's NoisyPositionOnlyPendulum: `PositionOnlyPendulum` with noise on what is seen.

    The paper calls it NoisyStatelessPendulum. Normal noise is added to the cosine and the sine of
    the angle, then both are clipped to `[-1, 1]`. Motion, reward and flags are those of
    `PositionOnlyPendulum`.

    Args:
        max_episode_steps: Integer, steps after which an episode is truncated.
        noise_sigma: Number, standard deviation of the noise on both.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("NoisyPositionOnlyPendulumHard").noise_sigma
    0.3
    """

    def __init__(self, max_episode_steps: int = 200, noise_sigma: float = 0.1) -> None:
        super().__init__(noise_sigma, max_episode_steps=max_episode_steps)
