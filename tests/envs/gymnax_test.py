"""Environments in gymnax's form: a small one, whose every step is known, and gymnax's own."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, envs, random
from tests.support.differentiate import BACKEND


def walk(has_truncation, limit=6):
    """A walk on integers from a random start, over at 3; observed as a picture and a number."""
    import jax

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class State:
        place: object
        time: object

    @dataclasses.dataclass(frozen=True)
    class WalkParams:
        max_steps_in_episode: int = limit

    class Walk:
        default_params = WalkParams()

        def observation_space(self, params):
            return gymnasium.spaces.Dict(
                number=gymnasium.spaces.Discrete(16),
                picture=gymnasium.spaces.Box(0, 255, (2, 2), "uint8"),
            )

        def action_space(self, params):
            return gymnasium.spaces.Discrete(2)

        def reset_env(self, key, params):
            state = State(jax.random.randint(key, (), 0, 3), 0)
            return self.show(state), state

        def step_env(self, key, state, action, params):
            state = State(state.place + action, state.time + 1)
            done = state.place >= 3
            if not has_truncation:
                done = self.is_terminal(state, params)
            return self.show(state), state, 1.0 * state.place, done, {}

        def step(self, *arguments):
            raise AssertionError("the step that restarts is not to be called")

        reset = step

        def is_terminal(self, state, params):
            return (state.place >= 3) | (state.time >= params.max_steps_in_episode)

        def show(self, state):
            picture = jax.numpy.full((2, 2), state.time, "uint8")
            return {"number": state.place, "picture": picture}

    if has_truncation:
        Walk.is_truncated = lambda self, state, params: state.time >= params.max_steps_in_episode
    return Walk()


jax_only = pytest.mark.skipif(BACKEND != "jax", reason="gymnax's environments run on JAX.")


@jax_only
@pytest.mark.parametrize("has_truncation", (False, True))
def test_a_walk_is_that_of_a_loop_in_numpy_with_both_kinds_of_ends(has_truncation):
    env = envs.GymnaxEnvironment(walk(has_truncation))
    assert env.max_episode_steps == 6
    envs.check_environment(env)
    autoreset = envs.AutoReset(envs.AgentView(env))
    actions = np.random.default_rng(0).integers(2, size=(30, 5)).astype("int32")

    def step(state, action):
        seen = autoreset.observation(state)
        state, transition = autoreset.step(state, action)
        return state, transition | {"seen": seen, "is_first": state["is_first"]}

    program = backend.compile(
        lambda key, actions: backend.scan(step, autoreset.initial(key, 5), actions)
    )
    _, found = program(random.key(0), ops.convert_to_tensor(actions))
    found = {name: ops.convert_to_numpy(values) for name, values in found.items()}
    ends = np.zeros(3, int)
    for column in range(5):
        place, time = found["seen"][0, column, :16].argmax(), 0
        for row, action in enumerate(actions[:, column]):
            assert found["seen"][row, column, place] == 1
            assert (found["seen"][row, column, 16:20] == time).all()
            place, time = place + action, time + 1
            terminated, truncated = place >= 3, time >= 6
            assert found["reward"][row, column] == place
            assert found["terminated"][row, column] == terminated
            if not terminated:
                assert found["truncated"][row, column] == truncated
            assert found["final_observation"][row, column, min(place, 15)] == 1
            over = bool(terminated or truncated)
            assert found["is_first"][row, column] == over
            ends += terminated, truncated and not terminated, 1
            if over and row < 29:
                place, time = found["seen"][row + 1, column, :16].argmax(), 0
                assert place < 3
    assert ends[0] > 5 and ends[1] > 2


@jax_only
def test_gymnax_is_made_by_name_with_its_parameters_and_mistakes_raise():
    pytest.importorskip("gymnax", reason="pip install 'keras-s5rl[gymnax]'")
    env = envs.make("gymnax:CartPole-v1", max_steps_in_episode=20)
    envs.check_environment(env, num_steps=25)
    assert env.max_episode_steps == 20 and env.action_space == gymnasium.spaces.Discrete(2)
    with pytest.raises(ValueError, match="Nowhere.*Received: env='gymnax:Nowhere'"):
        envs.make("gymnax:Nowhere")
    with pytest.raises(ValueError, match="wheels"):
        envs.make("gymnax:CartPole-v1", wheels=3)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX runs them.")
def test_other_backends_raise_that_jax_is_needed():
    with pytest.raises(ValueError, match="on the backend jax alone"):
        envs.GymnaxEnvironment(object())
