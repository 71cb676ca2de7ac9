"""Every environment against popgym itself, on episodes that nobody recorded before.

popgym plays random and informed actions from seeds of its own; the package, given the same draws
and actions, has to give the same observations, rewards and flags. `POPGYM_EPISODES` is the number
of episodes of each id, three difficulties a family: for a thousand episodes a family

    POPGYM_EPISODES=334 KERAS_BACKEND=jax python -m pytest tests/envs/popgym/differential_test.py
"""

import os
import zlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs
from tests.envs.play import play
from tests.envs.popgym import reference
from tests.envs.popgym.families import FAMILIES
from tests.support.differentiate import BACKEND, compiled

pytestmark = pytest.mark.reference

pytest.importorskip("popgym", reason="the reference: pip install 'keras-s5rl[popgym]'")

NUM_EPISODES = int(os.environ.get("POPGYM_EPISODES", "3"))
SHARES_INFORMED = (0.0, 0.75, 1.0)
LEVELS = ("Easy", "Medium", "Hard") if BACKEND == "jax" else ("Easy",)
NAMES = [family + level for family in FAMILIES for level in LEVELS]
PHYSICS = [name for name in NAMES if "Cart" in name or "Pendulum" in name]
GAMES = [name for name in NAMES if name not in PHYSICS]
OF_STEPS = ("noise", "u")  # the draws that are made in each step
OUTCOMES = ("observations", "actions", "rewards", "terminated", "truncated", "states")


def recorded(name):
    env, first_seed = reference.make(name), zlib.crc32(name.encode())
    return [
        reference.record(env, name, first_seed + i, SHARES_INFORMED[i % len(SHARES_INFORMED)])
        for i in range(NUM_EPISODES)
    ]


def to_arrays(structure):
    def to_array(values):
        return values.astype("float32" if values.dtype.kind == "f" else "int32")

    return keras.tree.map_structure(to_array, structure)


@pytest.mark.parametrize("name", GAMES)
def test_games_are_those_of_popgym_step_for_step(name):
    episodes, env = recorded(name), envs.make(name)
    rows = np.arange(env.max_episode_steps)

    def over_time(field):
        # Episodes that are over repeat their last step; what follows is not looked at.
        columns = [
            episode[field][np.minimum(rows, len(episode[field]) - 1)] for episode in episodes
        ]
        return np.stack(columns, axis=1)

    fields = set(episodes[0]) - set(OUTCOMES)
    initial = {field: np.stack([e[field] for e in episodes]) for field in fields - set(OF_STEPS)}
    each_step = {field: over_time(field) for field in fields & set(OF_STEPS)}
    played = play(env, *to_arrays((initial, over_time("actions"), each_step)))
    for i, episode in enumerate(episodes):
        length = len(episode["rewards"])
        np.testing.assert_array_equal(played["obs"][: length + 1, i], episode["observations"])
        for field in ("terminated", "truncated"):
            np.testing.assert_array_equal(played[field][:length, i], episode[field])
        rewards = played["rewards"][:length, i]
        np.testing.assert_allclose(rewards, episode["rewards"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PHYSICS)
def test_physics_is_that_of_popgym_from_each_of_its_states(name):
    """One step from each state: a pole that is balanced magnifies the rounding of float32."""
    episodes, env = recorded(name), envs.make(name)

    def joined(field, start=0, stop=None):
        return np.concatenate([episode[field][start:stop] for episode in episodes])

    def program(initial, time, actions, draws):
        state = {**env.initial(initial), "time": time}
        first = env.observation({**state, "time": ops.zeros_like(time)})
        state, *outcome = env.transition(state, actions, draws)
        return first, state["physics"], env.observation(state), *outcome

    initial, draws = {"init_state": joined("states", stop=-1)}, {}
    if "noise" in episodes[0]:
        initial["noise"], draws["noise"] = joined("noise", stop=-1), joined("noise", start=1)
    time = np.concatenate([np.arange(len(episode["rewards"])) for episode in episodes])
    arguments = to_arrays((initial, time, joined("actions"), draws))
    arguments = keras.tree.map_structure(ops.convert_to_tensor, arguments)
    results = [ops.convert_to_numpy(result) for result in compiled(program)(*arguments)]
    first, physics, observations, rewards, terminated, truncated = results

    def assert_near(actual, expected, states, is_angle=False):
        error = actual - expected
        if is_angle:  # whole turns are taken off
            error = error - 2 * np.pi * np.round(error / (2 * np.pi))
        # A large number begins with the rounding of its float32.
        scale = np.abs(states).max(axis=1, keepdims=True).astype("float32")
        assert np.all(np.abs(error) <= 5e-7 + np.spacing(scale))

    is_pendulum, after = "Pendulum" in name, joined("states", start=1)
    assert_near(physics[:, :1], after[:, :1], after, is_angle=is_pendulum)
    assert_near(physics[:, 1:], after[:, 1:], after)
    assert_near(observations, joined("observations", start=1), after)
    starts = time == 0
    assert_near(first[starts], joined("observations", stop=1), after[starts])
    np.testing.assert_allclose(rewards, joined("rewards"), rtol=0, atol=1e-7)
    np.testing.assert_array_equal(terminated, joined("terminated"))
    np.testing.assert_array_equal(truncated, joined("truncated"))
