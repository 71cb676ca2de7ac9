"""The latest episodes that ended in a rollout."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.ppo.ended_episodes import ended_episodes
from tests.support.learners import Countdown, make_learner, run_once, to_numpy

pytestmark = pytest.mark.not_on_tensorflow


@pytest.mark.parametrize("kept", [1, 3, 20])
def test_each_environment_reports_its_latest_episodes_as_a_plain_loop_does(kept):
    generator = np.random.default_rng(kept)
    ended = generator.random((12, 5)) < [0.0, 0.1, 0.3, 0.6, 1.0]
    returns = generator.normal(size=(12, 5)).astype("float32")
    returns[~ended] = np.inf  # of episodes under way nothing comes through
    lengths = generator.integers(1, 50, (12, 5)).astype("int32")
    rollout = {"episode_ended": ended, "episode_return": returns, "episode_length": lengths}
    program = backend.compile(lambda rollout: ended_episodes(rollout, kept))
    found = to_numpy(program({n: ops.convert_to_tensor(x) for n, x in rollout.items()}))
    np.testing.assert_array_equal(found["episodes"], ended.sum(axis=0))
    for name, values in (("episode_returns", returns), ("episode_lengths", lengths)):
        for env in range(5):
            latest = values[ended[:, env], env][::-1][:kept]
            expected = np.pad(latest.astype("float32"), (0, kept - len(latest)))
            np.testing.assert_array_equal(found[name][env], expected)


@pytest.mark.slow
def test_first_episodes_that_are_cut_off_to_stagger_them_are_not_reported():
    learner = make_learner(Countdown(), num_steps=7, stagger_starts=True, num_envs=64)
    _, metrics = run_once(learner, learner.initial_state(random.key(0)))
    metrics = to_numpy(metrics)
    lengths = metrics["episode_lengths"]
    assert lengths.shape == (64, 2) and set(lengths.flat) == {0, 5, 7}
    assert (metrics["episodes"] == (lengths > 0).sum(axis=1)).all()
    assert 0 < metrics["episodes"].sum() < 64  # most were cut off
