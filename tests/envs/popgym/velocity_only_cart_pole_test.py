import numpy as np
import pytest
from keras import ops

from keras_s5rl.envs.popgym.position_only_cart_pole import PositionOnlyCartPole
from keras_s5rl.envs.popgym.velocity_only_cart_pole import VelocityOnlyCartPole


def test_the_first_observation_is_of_positions_and_the_others_of_speeds():
    init_state = np.array([[0.01, 0.02, 0.03, 0.04], [-0.01, 0.03, 0.0, -0.02]], "float32")
    draws = {"init_state": ops.convert_to_tensor(init_state)}
    action = ops.convert_to_tensor(np.array([1, 0], "int32"))
    env = VelocityOnlyCartPole()
    state = env.initial(draws)
    np.testing.assert_array_equal(ops.convert_to_numpy(env.observation(state)), init_state[:, ::2])
    for _ in range(3):
        state, *outcome = env.transition(state, action, {})
        physics = ops.convert_to_numpy(state["physics"])
        np.testing.assert_array_equal(
            ops.convert_to_numpy(env.observation(state)), physics[:, 1::2]
        )
    # Of environments out of step, only the one that starts anew shows positions.
    state["time"] = ops.convert_to_tensor(np.array([0, 5], "int32"))
    expected = np.stack([physics[0, ::2], physics[1, 1::2]])
    np.testing.assert_array_equal(ops.convert_to_numpy(env.observation(state)), expected)


def test_motion_reward_and_flags_are_those_of_the_position_only_one():
    init_state = np.array([[2.39, 1.0, 0.03, 0.04], [-0.01, 0.03, 0.0, -0.02]], "float32")
    outcomes = []
    for env in (VelocityOnlyCartPole(2), PositionOnlyCartPole(2)):
        state = env.initial({"init_state": ops.convert_to_tensor(init_state)})
        for action in ([0, 1], [1, 1]):
            action = ops.convert_to_tensor(np.array(action, "int32"))
            state, *outcome = env.transition(state, action, {})
        outcomes.append([ops.convert_to_numpy(x) for x in (state["physics"], *outcome)])
    for value, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert outcomes[0][2].any() and outcomes[0][3].all()


def test_a_length_that_is_no_positive_integer_is_refused():
    with pytest.raises(ValueError, match=r"`max_episode_steps` should be a positive integer\."):
        VelocityOnlyCartPole(max_episode_steps=0)
