import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs
from keras_s5rl.envs import AgentView, Environment
from tests.envs.counting import broken


class Echo(Environment):
    """Shows its draws; ends after two steps."""

    max_episode_steps = 2

    def __init__(self, observation_space, action_space):
        self.observation_space = observation_space
        self.action_space = action_space

    def initial(self, draws):
        time = ops.zeros_like(draws["shown"][..., 0] if draws["shown"].ndim > 1 else draws["shown"])
        return {"shown": draws["shown"], "time": time}

    def transition(self, state, action, draws):
        time = state["time"] + 1
        over = time >= 2
        return {**state, "time": time}, ops.cast(time, "float32"), over, ops.zeros_like(over)

    def observation(self, state):
        return state["shown"]

    def discount(self, state):
        return 0.5 * ops.ones_like(ops.cast(state["time"], "float32"))


def to_tensor(values, dtype):
    return ops.convert_to_tensor(np.array(values, dtype))


def observations(env, shown, action):
    """The observation before and after one step."""
    state = env.initial({"shown": shown})
    first = ops.convert_to_numpy(env.observation(state))
    state, *_ = env.transition(state, action, {})
    return first, ops.convert_to_numpy(env.observation(state))


def test_discrete_parts_are_one_hots_and_the_null_action_is_class_0():
    env = AgentView(Echo(gymnasium.spaces.Discrete(3), gymnasium.spaces.MultiDiscrete([2, 3])))
    shown, action = to_tensor([2, 0], "int32"), to_tensor([[1, 2], [0, 1]], "int32")
    first, second = observations(env, shown, action)
    np.testing.assert_array_equal(
        first, [[0, 0, 1, 1, 0, 1, 0, 0, 0, 1], [1, 0, 0, 1, 0, 1, 0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(
        second, [[0, 0, 1, 0, 1, 0, 0, 1, 1, 0], [1, 0, 0, 1, 0, 0, 1, 0, 1, 0]]
    )


def test_columns_of_a_tuple_are_one_hots_side_by_side():
    space = gymnasium.spaces.Tuple((gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(4)))
    env = AgentView(Echo(space, gymnasium.spaces.Discrete(2)))
    _, second = observations(env, to_tensor([[1, 3]], "int32"), to_tensor([1], "int32"))
    np.testing.assert_array_equal(second, [[0, 1, 0, 0, 0, 1, 0, 1, 1, 0]])


def test_numbers_of_a_box_are_passed_on_and_actions_are_not_clipped():
    env = AgentView(Echo(gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Box(-2, 2, (1,))))
    shown, action = to_tensor([[0.25, -0.5]], "float32"), to_tensor([[7.5]], "float32")
    first, second = observations(env, shown, action)
    np.testing.assert_array_equal(first, [[0.25, -0.5, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(second, [[0.25, -0.5, 7.5, 1.0, 0.0]])
    assert env.observation_space.contains(first[0])
    assert env.observation_space.contains(second[0])


def test_the_space_is_a_flat_box_and_the_rest_is_that_of_the_environment():
    inner = Echo(gymnasium.spaces.Discrete(3), gymnasium.spaces.Discrete(2))
    env = AgentView(inner)
    assert env.observation_space == gymnasium.spaces.Box(0, 1, (7,))
    assert env.action_space == inner.action_space
    assert env.max_episode_steps == 2
    assert env.draw_step(None, 4) == {}


def test_rewards_flags_and_discounts_are_those_of_the_environment():
    env = AgentView(Echo(gymnasium.spaces.Discrete(3), gymnasium.spaces.Discrete(2)))
    state = env.initial({"shown": to_tensor([1], "int32")})
    action = to_tensor([1], "int32")
    for expected_reward, expected_end in ((1.0, False), (2.0, True)):
        state, reward, terminated, truncated = env.transition(state, action, {})
        assert ops.convert_to_numpy(reward)[0] == expected_reward
        assert ops.convert_to_numpy(terminated)[0] == expected_end
        assert not ops.convert_to_numpy(truncated)[0]
        assert ops.convert_to_numpy(env.discount(state))[0] == 0.5


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("RepeatPreviousEasy", 10),
        ("RepeatFirstHard", 10),
        ("PositionOnlyCartPoleEasy", 6),
        ("PositionOnlyPendulumEasy", 5),
    ],
)
def test_sizes_are_those_of_popgym(name, size):
    assert AgentView(envs.make(name)).observation_space.shape == (size,)


def test_without_its_previous_action_a_policy_sees_the_observation_and_the_flag():
    env = AgentView(Echo(gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-1, 1, (2,))), False)
    shown, action = to_tensor([2], "int32"), to_tensor([[0.5, -1]], "float32")
    first, second = observations(env, shown, action)
    np.testing.assert_array_equal(first, [[0, 0, 1, 0, 1]])
    np.testing.assert_array_equal(second, [[0, 0, 1, 1, 0]])
    assert env.observation_space.shape == (5,)


BOXES = {
    "bounded": (-2.0, 2.0, [-7.5, -2.0, 0.5, 2.5], [-2.0, -2.0, 0.5, 2.0]),
    "from below": (0.0, np.inf, [-1.0, 3.0, 1e30, 0.0], [0.0, 3.0, 1e30, 0.0]),
    "unbounded": (-np.inf, np.inf, [-1e30, 3.0, 1e30, 0.0], [-1e30, 3.0, 1e30, 0.0]),
    "degenerate": (0.5, 0.5, [-1.0, 0.5, 3.0, 0.0], [0.5, 0.5, 0.5, 0.5]),
}


@pytest.mark.parametrize(("low", "high", "raw", "received"), BOXES.values(), ids=BOXES)
def test_the_environment_gets_its_action_within_bounds_and_the_policy_sees_the_raw_one(
    low, high, raw, received
):
    env = AgentView(broken(action_space=gymnasium.spaces.Box(low, high, (1,))))
    state = env.initial(env.draw_initial(None, 4))
    state, reward, *_ = env.transition(state, to_tensor(np.array(raw)[:, None], "float32"), {})
    np.testing.assert_array_equal(ops.convert_to_numpy(reward), np.float32(received))
    observation = ops.convert_to_numpy(env.observation(state))
    np.testing.assert_array_equal(observation[:, 1], np.float32(raw))


def test_the_entry_action_mask_of_the_observations_is_found():
    spaces = gymnasium.spaces
    space = spaces.Dict(a=spaces.Discrete(3), action_mask=spaces.MultiBinary(2), z=spaces.Box(0, 1))
    assert AgentView(Echo(space, spaces.Discrete(2))).action_mask == (3, 5)
    pair = spaces.Tuple((spaces.MultiBinary(2), spaces.Box(0, 1, (3,), "int8")))
    nested = spaces.Dict(action_mask=pair, z=spaces.Box(0, 1))
    assert AgentView(Echo(nested, spaces.MultiDiscrete([2, 3]))).action_mask == (0, 5)
    assert AgentView(Echo(spaces.Dict(z=space), spaces.Discrete(2))).action_mask is None
    assert AgentView(Echo(spaces.Discrete(2), spaces.Discrete(2))).action_mask is None
    classes = spaces.Dict(action_mask=spaces.MultiDiscrete([2, 2]))
    with pytest.raises(
        ValueError, match="`action_mask`.*describe it by MultiBinary.*Received: act"
    ):
        AgentView(Echo(classes, spaces.Discrete(2)))
