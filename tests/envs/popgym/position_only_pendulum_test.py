import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.popgym.position_only_pendulum import PositionOnlyPendulum


def one_step(angle, speed, torque):
    env = PositionOnlyPendulum(max_episode_steps=200)
    state = env.initial({"init_state": np.array([[angle, speed]], "float32")})
    action = ops.convert_to_tensor(np.array([[torque]], "float32"))
    state, reward, *_ = env.transition(state, action, {})
    return ops.convert_to_numpy(state["physics"])[0], float(ops.convert_to_numpy(reward)[0])


def test_the_reward_is_of_the_state_before_the_step():
    _, reward = one_step(1.0, 2.0, 0.5)
    cost = 1.0 + 0.1 * 4.0 + 0.001 * 0.25
    assert reward == pytest.approx((8.1368022 - cost) / 8.1368022 / 200, rel=1e-5)


def test_torque_is_clipped_in_the_motion_and_in_the_reward():
    for torque in (2.0, 3.0, 1e9):
        physics, reward = one_step(0.5, 0.0, torque)
        speed = (15 * math.sin(0.5) + 3 * 2.0) * 0.05
        np.testing.assert_allclose(physics, [0.5 + 0.05 * speed, speed], rtol=1e-6)
        assert reward == pytest.approx((8.1368022 - 0.25 - 0.004) / 8.1368022 / 200, rel=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_speed_is_clipped_before_the_angle_moves(sign):
    physics, _ = one_step(sign * 1.5, sign * 7.9, sign * 2.0)
    np.testing.assert_allclose(physics, [sign * 1.9, sign * 8.0], rtol=1e-6)


@pytest.mark.parametrize("turns", [-9, -1, 0, 1, 9])
def test_whole_turns_of_the_angle_make_no_difference(turns):
    (angle, speed), reward = one_step(0.3 + 2 * math.pi * turns, -1.0, 1.0)
    (angle_0, speed_0), reward_0 = one_step(0.3, -1.0, 1.0)
    np.testing.assert_allclose([angle, speed], [angle_0, speed_0], atol=1e-5)
    assert reward == pytest.approx(reward_0, abs=1e-7)


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)
def test_initial_states_are_uniform_in_angle_and_speed():
    env = envs.make("PositionOnlyPendulumEasy")
    draws = ops.convert_to_numpy(env.draw_initial(random.key(4), 20_000)["init_state"])
    assert draws.shape == (20_000, 2) and draws.dtype == "float32"
    for column, limit in zip(draws.T, (math.pi, 1.0), strict=True):
        counts, _ = np.histogram(column, bins=10, range=(-limit, limit))
        assert counts.sum() == 20_000
        assert np.sum((counts - 2000) ** 2 / 2000) < 33.7  # 9 degrees of freedom, 1 in 10,000
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03


@pytest.mark.parametrize("steps", [0, 1.0, None])
def test_a_length_that_is_no_positive_integer_is_refused(steps):
    with pytest.raises(ValueError, match=r"`max_episode_steps` should be a positive integer\."):
        PositionOnlyPendulum(max_episode_steps=steps)
