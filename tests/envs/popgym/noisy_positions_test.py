"""The two noisy control tasks: what noise is added to, and how it is drawn."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym.noisy_position_only_cart_pole import NoisyPositionOnlyCartPole
from keras_s5rl.envs.popgym.noisy_position_only_pendulum import NoisyPositionOnlyPendulum
from keras_s5rl.envs.popgym.position_only_cart_pole import PositionOnlyCartPole
from keras_s5rl.envs.popgym.position_only_pendulum import PositionOnlyPendulum
from tests.envs.play import play
from tests.envs.popgym import chi_square

KINDS = [
    (NoisyPositionOnlyCartPole, PositionOnlyCartPole),
    (NoisyPositionOnlyPendulum, PositionOnlyPendulum),
]


@pytest.mark.parametrize(("noisy", "clean"), KINDS)
def test_noise_is_added_to_every_observation_then_clipped_and_to_nothing_else(noisy, clean):
    generator = np.random.default_rng(1)
    size = 4 if clean is PositionOnlyCartPole else 2
    init_state = generator.uniform(-0.2, 0.2, (50, size)).astype("float32")
    noise = generator.normal(0, 0.4, (11, 50, 2)).astype("float32")
    if clean is PositionOnlyCartPole:
        actions = generator.integers(0, 2, (10, 50)).astype("int32")
    else:
        actions = generator.uniform(-2, 2, (10, 50, 1)).astype("float32")
    env = noisy(max_episode_steps=10)
    rows = play(env, {"init_state": init_state, "noise": noise[0]}, actions, {"noise": noise[1:]})
    expected = play(clean(max_episode_steps=10), {"init_state": init_state}, actions)
    for name in ("rewards", "terminated", "truncated"):
        np.testing.assert_array_equal(rows[name], expected[name])
    high = env.observation_space.high
    observations = np.clip(expected["obs"] + noise, -high, high)
    np.testing.assert_allclose(rows["obs"], observations, rtol=0, atol=1e-6)
    assert rows["obs"].dtype == "float32"
    is_clipped = np.abs(rows["obs"]) == high
    assert is_clipped.any() and not is_clipped.all()


def normal_statistic(noise, sigma):
    """Chi-square of 20 bins that are equally likely under N(0, sigma^2)."""
    # Quantiles 0.05 .. 0.45 of the standard normal distribution.
    lower = [-1.644854, -1.281552, -1.036433, -0.841621, -0.67449, -0.524401, -0.38532, -0.253347]
    lower = np.array([*lower, -0.125661])
    edges = np.concatenate([lower, [0], -lower[::-1]])
    counts = np.bincount(np.searchsorted(edges, noise / sigma), minlength=20)
    return chi_square.statistic(counts, len(noise) / 20)


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)
@pytest.mark.parametrize("kind", [NoisyPositionOnlyCartPole, NoisyPositionOnlyPendulum])
def test_noise_is_normal_of_the_given_deviation_and_independent(kind):
    env = kind(noise_sigma=0.3)
    initial, step = env.draw_initial(random.key(1), 40_000), env.draw_step(random.key(2), 40_000)
    limit = chi_square.limit(19)
    columns = [*ops.convert_to_numpy(initial["noise"]).T, *ops.convert_to_numpy(step["noise"]).T]
    for noise in columns:
        assert noise.dtype == "float32"
        assert normal_statistic(noise, 0.3) < limit
        # The test sees a deviation 4 per cent too large, and a mean that is 5 per cent of it.
        assert normal_statistic(1.04 * noise, 0.3) > limit
        assert normal_statistic(noise + 0.015, 0.3) > limit
    columns += [*ops.convert_to_numpy(initial["init_state"]).T]
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.03


@pytest.mark.parametrize("noise_sigma", [-0.1, float("nan"), float("inf"), "0.1", None])
def test_a_deviation_that_is_no_number_from_0_is_refused(noise_sigma):
    with pytest.raises(ValueError, match=r"`noise_sigma` should be a finite .*noise_sigma="):
        NoisyPositionOnlyCartPole(noise_sigma=noise_sigma)
