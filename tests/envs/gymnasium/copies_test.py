"""Environments through Gymnasium are copied, pickled and sent to other processes."""

import copy
import multiprocessing
import pickle
import subprocess
import sys

import cloudpickle
import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

import keras_s5rl  # noqa: F401  registers the ids
from keras_s5rl import envs
from keras_s5rl.envs.gymnasium.env import GymnasiumEnv
from keras_s5rl.envs.gymnasium.vector_env import GymnasiumVectorEnv
from tests.support.differentiate import BACKEND

WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: pickle.loads(cloudpickle.dumps(env)),
}
MAKE = {
    "single": lambda: GymnasiumEnv("MultiarmedBanditEasy", episode_length=12),
    "made": lambda: gymnasium.make("keras_s5rl/MultiarmedBanditEasy-v0", episode_length=12),
    **{
        mode.value: lambda mode=mode: GymnasiumVectorEnv(
            "MultiarmedBanditEasy", 3, mode, episode_length=12
        )
        for mode in AutoresetMode
    },
}


def play(env, num_steps):
    """What steps return; then what a reset without a seed and a step more do."""
    action = np.zeros(env.action_space.shape, int)
    rows = [env.step(action) for _ in range(num_steps)]
    return [*rows, env.reset(), env.step(action)]


@pytest.mark.slow_after(3)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_copy_in_the_middle_of_an_episode_goes_on_with_equal_values(make, way):
    env = make()
    env.reset(seed=3)
    env.step(np.zeros(env.action_space.shape, int))
    other = way(env)
    ours = play(env, 8)
    keras.tree.map_structure(np.testing.assert_array_equal, play(other, 8), ours)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_before_the_first_reset_has_no_episode(way):
    env = way(GymnasiumEnv("RepeatFirstEasy"))
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    assert env.reset(seed=0)[0] in env.observation_space


@pytest.mark.slow_after(3)
@pytest.mark.parametrize("name", sorted(set(envs.registered_envs()) - {"dm_control"}), ids=str)
def test_every_environment_of_the_package_can_be_pickled_and_copied(name):
    env = envs.make(name, **{"MemoryChain": {"memory_length": 5}}.get(name, {}))
    for way in (copy.deepcopy, WAYS["pickle"]):
        other = way(env)
        assert type(other) is type(env)
        assert other.max_episode_steps == env.max_episode_steps


def make_bandit():
    return gymnasium.make("keras_s5rl/MultiarmedBanditEasy-v0", episode_length=12)


@pytest.mark.slow
def test_processes_that_start_afresh_play_the_same_episodes():
    vector = AsyncVectorEnv([make_bandit] * 2, context="spawn")
    try:
        observations, infos = vector.reset(seed=5)
        single = make_bandit()
        for index in range(2):
            observation, info = single.reset(seed=5 + index)
            assert observation == observations[index]
            np.testing.assert_array_equal(info["bandits"], infos["bandits"][index])
        assert vector.step(np.zeros(2, int))[0].shape == (2,)
    finally:
        vector.close()


FORK = """
import sys, warnings
import gymnasium, keras, numpy as np, keras_s5rl
warnings.simplefilter("ignore")
make = lambda: gymnasium.make("keras_s5rl/RepeatFirstEasy-v0")
if sys.argv[1] == "ran":
    keras.ops.convert_to_numpy(keras.ops.ones(3) + 1)
if sys.argv[1] == "played":
    played = make()
    played.reset()
    make = lambda: played
vector = gymnasium.vector.AsyncVectorEnv([make] * 2, context="fork")
try:
    print(vector.reset(seed=0)[0].shape if sys.argv[1] != "played" else vector.step([0, 0]))
    vector.step(np.zeros(2, int))
    print("stepped")
except RuntimeError as error:
    print("refused", 'context="spawn"' in str(error))
finally:
    vector.close(terminate=True)
"""
HAS_FORK = "fork" in multiprocessing.get_all_start_methods()


@pytest.mark.slow
@pytest.mark.skipif(not HAS_FORK, reason="this system does not fork")
@pytest.mark.parametrize(
    ("before", "expected"),
    [("nothing", "stepped"), ("ran", "refused True"), ("played", "refused True")],
)
def test_a_fork_of_a_process_in_which_the_backend_ran_is_refused_at_once(before, expected):
    if BACKEND == "torch":
        expected = "stepped"
    if BACKEND == "torch" and before == "played":
        pytest.skip("torch goes on in the child")
    result = subprocess.run(
        [sys.executable, "-c", FORK, before], capture_output=True, text=True, timeout=120
    )
    assert result.stdout.splitlines()[-1:] == [expected], result.stderr[-2000:]
