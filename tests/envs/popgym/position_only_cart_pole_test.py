import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.popgym.position_only_cart_pole import PositionOnlyCartPole


def one_step(env, physics, time=0):
    physics = ops.convert_to_tensor(np.array([physics], "float32"))
    state = env.initial({"init_state": physics})
    state["time"] = ops.convert_to_tensor(np.array([time], "int32"))
    outcome = env.transition(state, ops.convert_to_tensor(np.array([1], "int32")), {})[1:]
    return [ops.convert_to_numpy(value)[0] for value in outcome]


@pytest.mark.parametrize(
    ("physics", "falls"),
    [
        ([2.39, 0.0, 0.0, 0.0], False),
        ([2.41, 0.0, 0.0, 0.0], True),
        ([-2.41, 0.0, 0.0, 0.0], True),
        ([2.39, 1.0, 0.0, 0.0], True),  # passes the end in this step
        ([0.0, 0.0, 0.209, 0.0], False),
        ([0.0, 0.0, 0.21, 0.0], True),
        ([0.0, 0.0, -0.21, 0.0], True),
    ],
)
def test_the_episode_terminates_past_the_ends_of_the_track_and_12_degrees(physics, falls):
    reward, terminated, truncated = one_step(envs.make("PositionOnlyCartPoleEasy"), physics)
    assert (terminated, truncated) == (falls, False)
    assert reward == pytest.approx(1 / 200)


def test_falling_in_the_last_step_sets_both_flags():
    _, terminated, truncated = one_step(
        PositionOnlyCartPole(max_episode_steps=7), [2.5, 0, 0, 0], time=6
    )
    assert terminated and truncated


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)
def test_initial_states_are_uniform_within_a_twentieth():
    env = envs.make("PositionOnlyCartPoleEasy")
    draws = ops.convert_to_numpy(env.draw_initial(random.key(3), 20_000)["init_state"])
    assert draws.shape == (20_000, 4) and draws.dtype == "float32"
    for column in draws.T:
        counts, _ = np.histogram(column, bins=10, range=(-0.05, 0.05))
        assert counts.sum() == 20_000
        assert np.sum((counts - 2000) ** 2 / 2000) < 33.7  # 9 degrees of freedom, 1 in 10,000
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.03


@pytest.mark.parametrize("steps", [0, -5, 2.5, True])
def test_a_length_that_is_no_positive_integer_is_refused(steps):
    with pytest.raises(ValueError, match=r"`max_episode_steps` should be a positive integer\."):
        PositionOnlyCartPole(max_episode_steps=steps)
