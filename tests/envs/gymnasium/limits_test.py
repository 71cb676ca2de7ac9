"""Time limits, options, seeds and specifications of the environments through Gymnasium."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import NormalizeObservation, RecordEpisodeStatistics

import keras_s5rl  # noqa: F401  registers the ids
from keras_s5rl import envs
from keras_s5rl.envs.gymnasium.env import GymnasiumEnv
from keras_s5rl.envs.gymnasium.vector_env import GymnasiumVectorEnv
from tests.envs.counting import Counting, broken

MODES = list(AutoresetMode)


def steps_to_truncation(env):
    """The number of steps of each of three episodes, all of which have to be truncated."""
    lengths = []
    for _ in range(3):
        env.reset(seed=0)
        lengths.append(0)
        truncated = False
        while not truncated:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            assert not terminated
            lengths[-1] += 1
    return lengths


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["RepeatPreviousEasy", "PositionOnlyPendulumEasy"])
def test_a_vector_environment_truncates_after_the_steps_asked_for(name, mode):
    vector = gymnasium.make_vec(
        f"keras_s5rl/{name}-v0", num_envs=3, max_episode_steps=10, autoreset_mode=mode
    )
    vector.reset(seed=0)
    period = 11 if mode == AutoresetMode.NEXT_STEP else 10
    for step in range(1, 40):
        _, _, terminations, truncations, infos = vector.step(vector.action_space.sample())
        assert not terminations.any()
        np.testing.assert_array_equal(truncations, [step % period == 10 % period] * 3)
        assert ("final_obs" in infos) == (mode == AutoresetMode.SAME_STEP and truncations.all())
        if mode == AutoresetMode.DISABLED and truncations.all():
            vector.reset(options={"reset_mask": truncations})


def test_environments_that_are_reset_alone_have_a_limit_of_their_own():
    vector = GymnasiumVectorEnv(Counting(), 2, "Disabled")
    vector.reset(seed=0)
    truncated = []
    for step in range(1, 15):
        if step == 4:
            vector.reset(options={"reset_mask": np.array([True, False])})
        truncated.append(vector.step(np.zeros(2, int))[3])
        if truncated[-1].any():
            vector.reset(options={"reset_mask": truncated[-1]})
    assert [np.flatnonzero(column).tolist() for column in np.transpose(truncated)] == [[9], [6, 13]]


def test_a_single_environment_truncates_after_the_steps_asked_for():
    name = "keras_s5rl/RepeatPreviousEasy-v0"
    assert steps_to_truncation(gymnasium.make(name, max_episode_steps=10)) == [10] * 3
    direct = GymnasiumEnv("RepeatPreviousEasy", max_episode_steps=10)
    assert steps_to_truncation(direct) == [10] * 3
    assert steps_to_truncation(gymnasium.wrappers.TimeLimit(direct, 4)) == [4] * 3


def test_an_environment_that_never_ends_is_truncated_at_its_own_limit_or_a_smaller_one():
    assert steps_to_truncation(GymnasiumEnv(Counting())) == [7] * 3
    assert steps_to_truncation(GymnasiumEnv(Counting(), max_episode_steps=3)) == [3] * 3
    assert steps_to_truncation(GymnasiumEnv(Counting(), max_episode_steps=100)) == [7] * 3


def test_an_environment_with_an_argument_of_that_name_is_given_it():
    vector = gymnasium.make_vec("keras_s5rl/PositionOnlyCartPoleEasy-v0", max_episode_steps=300)
    assert vector.unwrapped.env.max_episode_steps == 300


@pytest.mark.parametrize("steps", [0, -1, 2.5, "10", True, 10**12])
def test_a_wrong_limit_is_refused(steps):
    for make in (GymnasiumEnv, GymnasiumVectorEnv):
        with pytest.raises(ValueError, match="`max_episode_steps` should be"):
            make("RepeatFirstEasy", max_episode_steps=steps)


@pytest.mark.parametrize("options", [{"low": 0.1}, {"reset_mask": True}, "no", 3])
def test_options_of_a_single_environment_are_refused(options):
    env = GymnasiumEnv("RepeatFirstEasy")
    with pytest.raises(ValueError, match="`options` should be None or empty. Received: options="):
        env.reset(options=options)
    env.reset(options={})


@pytest.mark.parametrize("options", [{"low": 0.1}, {"reset_mask": None, "mask": 1}, [1]])
def test_unknown_options_of_a_vector_environment_are_refused(options):
    vector = GymnasiumVectorEnv("RepeatFirstEasy", 2)
    with pytest.raises(ValueError, match="`options` should be a dict with reset_mask. Received: "):
        vector.reset(options=options)


def test_numpy_integers_are_seeds_and_nothing_else_is():
    env, vector = GymnasiumEnv("RepeatFirstEasy"), GymnasiumVectorEnv("RepeatFirstEasy", 2)
    for each in (env, vector):
        first = each.reset(seed=7)[0]
        for seed in (np.int64(7), np.uint8(7)):
            np.testing.assert_array_equal(each.reset(seed=seed)[0], first)
        for seed in ([1, 2], [1], -1, 1.0, "7"):
            with pytest.raises(gymnasium.error.Error, match="Seed must be"):
                each.reset(seed=seed)


@pytest.mark.parametrize("num_envs", [0, -1, 1.0, None, True])
def test_a_wrong_number_of_environments_is_refused(num_envs):
    with pytest.raises(ValueError, match="`num_envs` should be a positive integer"):
        GymnasiumVectorEnv("RepeatFirstEasy", num_envs)


def test_environments_can_be_made_again_from_their_specification():
    env = gymnasium.make("keras_s5rl/RepeatPreviousEasy-v0", k=2, max_episode_steps=9)
    again = gymnasium.make(env.spec)
    assert (again.unwrapped.env.k, steps_to_truncation(again)) == (2, [9] * 3)
    assert isinstance(env.unwrapped, GymnasiumEnv)
    vector = gymnasium.make_vec("keras_s5rl/RepeatPreviousEasy-v0", num_envs=3, k=2)
    assert gymnasium.make_vec(vector.spec).num_envs == 3


def test_gymnasiums_wrappers_work_and_closing_twice_is_harmless():
    env = gymnasium.make("keras_s5rl/PositionOnlyPendulumEasy-v0", max_episode_steps=5)
    env = NormalizeObservation(RecordEpisodeStatistics(env))
    env.reset(seed=0)
    infos = [env.step(env.action_space.sample())[4] for _ in range(5)]
    assert infos[-1]["episode"]["l"] == 5
    vector = GymnasiumVectorEnv("RepeatFirstEasy", 2)
    for each in (env, vector):
        each.close()
        each.close()


def test_a_space_without_a_format_is_refused():
    mixed = gymnasium.spaces.Tuple((gymnasium.spaces.Box(0, 1, (2,)), gymnasium.spaces.Text(3)))
    for make in (GymnasiumEnv, GymnasiumVectorEnv, envs.AgentView):
        with pytest.raises(ValueError, match="should be Discrete, MultiDiscrete, .* entry 1 out"):
            make(broken(observation_space=mixed))


def test_actions_out_of_a_box_are_clipped():
    env = broken(action_space=gymnasium.spaces.Box(-1.0, 2.0, (1,)))
    single, vector = GymnasiumEnv(env), GymnasiumVectorEnv(env, 3)
    single.reset()
    vector.reset()
    assert [single.step([value])[1] for value in (-5.0, 0.5, 7.0)] == [-1.0, 0.5, 2.0]
    np.testing.assert_array_equal(vector.step([[-5.0], [0.5], [7.0]])[1], [-1.0, 0.5, 2.0])
