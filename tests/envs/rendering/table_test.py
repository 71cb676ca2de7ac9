"""Which renderer draws which environment, and what is seen of those without one."""

import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs
from keras_s5rl.envs.popgym.position_only_cart_pole import PositionOnlyCartPole
from keras_s5rl.envs.rendering import Renderer, register_renderer, render, renderer_for


class Thermometer(envs.Environment):
    """An environment of a user's own, whose state is not that of any other."""

    observation_space = gymnasium.spaces.Box(-50.0, 50.0, (3,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    max_episode_steps = 5

    def observation(self, state):
        return ops.stack([state["outside"], state["inside"], ops.zeros_like(state["inside"])], 1)


class Wide(Thermometer):
    observation_space = gymnasium.spaces.Box(-50.0, 50.0, (400,))

    def observation(self, state):
        return ops.tile(ops.expand_dims(state["inside"], 1), (1, 400))


STATE = {"outside": np.float32(-3.5), "inside": np.float32(21.25)}


def test_an_environment_of_ones_own_is_shown_by_its_observation():
    env = Thermometer()
    shown = render(env, STATE, "ansi", np.array([0.5, -1], "float32"), 1)
    assert shown == "Thermometer\nobservation -3.5 21.25 0\naction 0.5 -1  reward +1.0000"
    shown = render(env, STATE, "rgb_array")
    warmer = render(env, {**STATE, "inside": np.float32(22)}, "rgb_array")
    assert shown.shape == warmer.shape and not np.array_equal(shown, warmer)


def test_a_large_observation_is_cut_in_the_picture_and_whole_in_the_text():
    assert render(Wide(), STATE, "rgb_array").shape[0] < 600
    assert render(Wide(), STATE, "ansi").split()[2:] == ["21.25"] * 400


def test_a_clock_that_is_no_number_and_a_long_action_do_no_harm():
    state, action = {**STATE, "time": np.zeros(2)}, np.linspace(0, 1, 30)
    assert render(Thermometer(), state, "ansi", action).startswith("Thermometer\nobservation")
    first, second = (render(Thermometer(), state, "rgb_array", action, r, 2.0) for r in (1, 2))
    num_changed = np.any(first != second, axis=2).sum()
    assert 0 < num_changed < 200  # the reward's number alone, and nothing written across it


def test_a_renderer_of_ones_own_draws_a_class_and_its_subclasses():
    class Own(Thermometer):
        pass

    class Heir(Own):
        pass

    class Degrees(Renderer):
        def size(self, env):
            return 320, 50

        def describe(self, env, state, action):
            return f"{state['inside']} degrees"

        def draw(self, canvas, env, state, action):
            canvas.text(160, 25, self.describe(env, state, action), anchor="mm")

    register_renderer(Own, Degrees())
    for env in (Own(), Heir()):
        assert render(env, STATE, "ansi").endswith("\n21.25 degrees")
        assert render(env, STATE, "rgb_array").shape[1] == 320
    assert "observation" in render(Thermometer(), STATE, "ansi")


def test_a_subclass_of_a_known_environment_looks_like_it():
    class Heavier(PositionOnlyCartPole):
        pass

    assert type(renderer_for(Heavier())) is type(renderer_for(envs.make("StatelessCartPoleEasy")))


def test_a_class_of_the_same_name_is_another():
    class RepeatPrevious(Thermometer):
        pass

    assert type(renderer_for(RepeatPrevious())) is Renderer


# `dm_control` has bodies of any kind, shown by the numbers of the observation.
@pytest.mark.parametrize("name", [name for name in envs.registered_envs() if name != "dm_control"])
def test_every_environment_of_the_package_has_a_renderer_of_its_own(name):
    env = envs.make(name, **({"memory_length": 3} if name == "MemoryChain" else {}))
    assert type(renderer_for(env)) is not Renderer


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="`env_class` should be .*Received: env_class='Mine'"):
        register_renderer("Mine", Renderer())
    with pytest.raises(ValueError, match="`renderer` should be .*Received: renderer="):
        register_renderer(Thermometer, Renderer)
