"""Episodes kept step by step, and animations of them."""

import numpy as np
import pytest
from PIL import Image

from keras_s5rl import envs, random
from keras_s5rl.envs.rendering import render
from keras_s5rl.layers import S5Stack
from keras_s5rl.models import ActorCritic, FeedForward, distribution_for
from keras_s5rl.training import recording
from keras_s5rl.training.evaluation import compile_episodes
from keras_s5rl.training.recording import record_episodes
from keras_s5rl.training.trajectories import compile_trajectories

pytestmark = [pytest.mark.slow, pytest.mark.not_on_tensorflow]


def policy_for(env, memory):
    view = envs.AgentView(env)
    distribution = distribution_for(view.action_space)
    size = view.observation_space.shape[0]
    return ActorCritic(size, distribution, memory, (8,), (8,), seed=0)


@pytest.fixture(scope="module")
def mine_sweeper():
    env = envs.make("MineSweeperEasy")
    return env, policy_for(env, S5Stack(1, 8, state_size=8, return_state=True, seed=0))


@pytest.fixture(scope="module")
def trajectories(mine_sweeper):
    env, policy = mine_sweeper
    return compile_trajectories(envs.AgentView(env), policy, 16)(random.key(3), False)


def test_trajectories_are_the_episodes_of_an_evaluation(mine_sweeper, trajectories):
    env, policy = mine_sweeper
    view, key = envs.AgentView(env), random.key(3)
    modes = compile_trajectories(view, policy, 16)(key, True)
    scores = compile_episodes(view, policy, 16)(policy, key, (False, True))
    for played, (returns, lengths) in zip((trajectories, modes), scores, strict=True):
        assert [len(trajectory.states) - 1 for trajectory in played] == lengths.tolist()
        assert [len(trajectory.actions) for trajectory in played] == lengths.tolist()
        sums = [sum(trajectory.rewards) for trajectory in played]
        np.testing.assert_allclose(sums, returns, rtol=0, atol=1e-6)
    assert len(set(scores[0][1])) > 2 and scores[0][0].tolist() != scores[1][0].tolist()


def test_states_and_actions_of_a_trajectory_belong_together(mine_sweeper, trajectories):
    env, _ = mine_sweeper
    for trajectory in trajectories:
        board = trajectory.states[0]["board"].copy()
        assert board.shape == (16,) and board.sum() == 2
        steps = zip(trajectory.states[1:], trajectory.actions, trajectory.rewards, strict=True)
        for time, (state, action, reward) in enumerate(steps, 1):
            cell = action @ [4, 1]
            assert (reward > 0) == (board[cell] == 0)
            board[cell] = board[cell] or 2
            assert np.array_equal(state["board"], board) and state["time"] == time
        assert trajectory.states[-1]["terminated"] or time == env.max_episode_steps


def test_a_recording_has_a_frame_for_the_start_and_each_step(mine_sweeper, tmp_path):
    env, policy = mine_sweeper
    recorded = record_episodes(policy, env, tmp_path / "new" / "folder", 3, False, seed=5)
    key = random.fold_in(random.key(5), 2)
    trajectories = compile_trajectories(envs.AgentView(env), policy, 3)(key, False)
    paths = [tmp_path / "new" / "folder" / f"episode_{index}.gif" for index in range(3)]
    assert [path for path, _, _ in recorded] == paths == sorted(paths[0].parent.iterdir())
    for (path, num_steps, episode_return), trajectory in zip(recorded, trajectories, strict=True):
        assert num_steps == len(trajectory.rewards)
        assert episode_return == pytest.approx(sum(trajectory.rewards))
        with Image.open(path) as image:
            assert image.n_frames == num_steps + 1
            image.seek(num_steps)
            shown = np.asarray(image.convert("RGB")).astype(int)
        last_step = trajectory.actions[-1], trajectory.rewards[-1], episode_return
        expected = render(env, trajectory.states[-1], "rgb_array", *last_step)
        assert np.abs(shown - expected).max() <= 16  # a GIF has few colours


@pytest.mark.parametrize(("longest", "milliseconds"), [(60.0, 50), (0.39, 30)])
def test_a_step_lasts_as_in_the_environment_unless_there_are_many(
    longest, milliseconds, tmp_path, monkeypatch
):
    monkeypatch.setattr(recording, "_LONGEST", longest)
    env = envs.make("PositionOnlyPendulumEasy", max_episode_steps=12)
    policy = policy_for(env, FeedForward(1, 4, seed=0))
    ((path, num_steps, _),) = record_episodes(policy, env, tmp_path, 1)
    assert num_steps == 12
    with Image.open(path) as image:
        assert image.n_frames == 13 and image.info["duration"] == milliseconds


def test_an_environment_must_fit_the_policy(mine_sweeper, tmp_path):
    env, policy = mine_sweeper
    for other in ("RepeatFirstEasy", "MineSweeperMedium"):
        with pytest.raises(ValueError, match="`env` should have the spaces that the policy"):
            record_episodes(policy, other, tmp_path)
    with pytest.raises(ValueError, match="`num_episodes` should be a positive integer"):
        record_episodes(policy, env, tmp_path, 0)
    assert not list(tmp_path.iterdir())
