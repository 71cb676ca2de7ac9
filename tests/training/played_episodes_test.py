"""Episodes for a report, against the policy and environment by hand."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, envs
from keras_s5rl.envs.rendering import register_renderer, table
from keras_s5rl.training.played_episodes import play_episodes
from keras_s5rl.training.recording import record_episodes
from tests.support.small_runs import small_config

pytestmark = [pytest.mark.slow, pytest.mark.not_on_tensorflow]


@pytest.fixture(scope="module")
def played():
    """An agent, and two episodes of 2 trials of at most 30 steps."""
    arguments = {"num_trials": 2, "trial_steps": 30}
    config = small_config(num_layers=2)
    agent = PPO("projected_cartpole", arguments, "lstm", config, seed=1)
    return agent, play_episodes(agent, 2, deterministic=False, seed=9)


def test_memory_norms_are_those_of_the_policy_in_the_same_observations(played):
    agent, episodes = played
    assert list(episodes["memory_norms"]) == ["layer 1", "layer 2"]
    for row in range(len(episodes["step"])):
        if episodes["step"][row] == 0:
            state = [7 * ops.ones_like(tensor) for tensor in agent.policy.get_initial_state(1)]
            assert np.isnan(episodes["observation"][row]).all()
            assert not episodes["reset"][row]
            expected = [0, 0]
        else:
            observation, reset = episodes["observation"][row][None], episodes["reset"][row][None]
            _, state = agent.policy.act(observation.astype("float32"), reset, state)
            # Two tensors a layer, h and c.
            squares = [np.square(ops.convert_to_numpy(tensor)).sum() for tensor in state]
            expected = np.sqrt([squares[0] + squares[1], squares[2] + squares[3]])
        norms = [values[row] for values in episodes["memory_norms"].values()]
        np.testing.assert_allclose(norms, expected, rtol=1e-3, atol=1e-6)


def test_rows_are_those_of_the_environment(played, tmp_path):
    agent, episodes = played
    starts = np.flatnonzero(episodes["step"] == 0)
    lengths = np.diff([*starts, len(episodes["step"])]) - 1
    assert episodes["episode"].tolist() == [0] * (lengths[0] + 1) + [1] * (lengths[1] + 1)
    assert np.flatnonzero(episodes["reset"]).tolist() == (starts + 1).tolist()
    env = agent.environment.env
    recorded = record_episodes(agent.policy, env, tmp_path, 2, False, seed=9)
    for start, length, (_, num_steps, episode_return) in zip(
        starts, lengths, recorded, strict=True
    ):
        rows = slice(start + 1, start + length + 1)
        assert num_steps == length
        assert episodes["reward"][rows].sum() == pytest.approx(episode_return)
        assert episodes["episode_return"][start + length] == pytest.approx(episode_return)
        # The flag that a trial starts is in the observation of the next step.
        flags = episodes["observation"][rows, env.projected_size]
        trial_starts = [row - start for row in np.flatnonzero(episodes["trial_start"])]
        for trial_start in trial_starts:
            if 0 < trial_start < length:
                assert flags[trial_start] == 1
        assert flags.sum() == 2 and flags[0] == 1
        # The previous action is in the observation of the next step, as a one-hot.
        seen = episodes["observation"][rows][1:, env.projected_size + 1 :][:, :2].argmax(1)
        assert seen.tolist() == episodes["action_number"][rows][:-1, 0].tolist()
    assert episodes["trial_start"].sum() == 2
    assert set(episodes["action"]) == {"", "push left", "push right"}
    assert episodes["frame"](0).shape == episodes["frame"](len(episodes["step"]) - 1).shape


def test_an_environment_that_nothing_draws_has_no_picture(played, monkeypatch):
    agent, _ = played
    monkeypatch.setattr(table, "_own", {})
    register_renderer(type(agent.environment.env), envs.rendering.Renderer())
    assert play_episodes(agent, 2, deterministic=False, seed=9)["frame"] is None


def test_episodes_of_gymnasium_are_not_shown():
    agent = PPO("gymnasium:CartPole-v1", config=small_config())
    with pytest.raises(NotImplementedError, match="Received: env="):
        play_episodes(agent)
