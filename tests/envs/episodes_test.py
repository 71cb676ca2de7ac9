"""Episodes are those of JAX on every backend, as recorded on JAX.

`KERAS_BACKEND=jax python -m tests.envs.episodes_test` records them anew.
"""

import functools
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs import AutoReset
from tests.envs.rolls import compiled_roll, make_cond_eager, roll

RECORDED = Path(__file__).parents[1] / "data" / "random" / "episodes.npz"

# Environments, how many steps of them to take, and by how much two backends may differ in them.
EPISODES = {
    "RepeatPreviousEasy": ({}, 120, 0.0),
    "PositionOnlyCartPoleEasy": ({}, 120, 1e-5),
    "PositionOnlyPendulumEasy": ({"max_episode_steps": 40}, 120, 1e-4),
}


@functools.cache
def episodes(name):
    """Three environments under actions that count up, their first episodes cut off.

    Returns the `AutoReset`, the state that it starts from, the actions, and the rows of the run.
    """
    env_args, num_steps, _ = EPISODES[name]
    autoreset = AutoReset(envs.make(name, **env_args))
    space = autoreset.env.action_space

    def action(state):
        count = state["num_steps"] + ops.arange(3, dtype="int32")
        if isinstance(space, gymnasium.spaces.Box):
            return ops.expand_dims(ops.cast(count % 5 - 2, "float32"), 1)
        return count % int(space.n)

    state = autoreset.initial(random.key(14), 3, stagger_starts=True)
    _, rows = compiled_roll(autoreset, num_steps, action)(state)
    kept = ("observation", "reward", "terminated", "truncated", "is_first", "episode_return")
    return autoreset, state, action, {column: rows[column] for column in kept}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", EPISODES)
def test_episodes_are_those_of_jax(name):
    with np.load(RECORDED) as file:
        for column, values in episodes(name)[-1].items():
            expected, tolerance = file[f"{name}/{column}"], EPISODES[name][-1]
            assert values.dtype == expected.dtype
            np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance, err_msg=column)
            if column == "is_first":
                assert expected.sum() > 3 + 6


@pytest.mark.slow
def test_compiled_steps_equal_eager_ones(monkeypatch):
    autoreset, state, action, compiled = episodes("PositionOnlyCartPoleEasy")
    make_cond_eager(monkeypatch)
    _, eager = roll(autoreset, state, 40, action)
    for name, values in compiled.items():
        np.testing.assert_allclose(values[:40], eager[name], atol=1e-5)
    assert eager["is_first"][1:].any()


if __name__ == "__main__":
    np.savez_compressed(
        RECORDED,
        **{
            f"{name}/{column}": values
            for name in EPISODES
            for column, values in episodes(name).items()
        },
    )
