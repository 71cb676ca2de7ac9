"""Means of returns over the latest episodes of each environment."""

import json
import math
from collections import deque

import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, envs, random
from keras_s5rl.ppo.learner import Learner
from keras_s5rl.runs import RunError
from keras_s5rl.training.metrics import EpisodeRecord
from tests.support.small_runs import STEPS, small_config

pytestmark = pytest.mark.not_on_tensorflow

LIMIT, LUCK = 48, 0.01


class EarlyLuck(envs.Environment):
    """Each step ends the episode with 1 by a rare luck; those without it end at the limit with -1.

    Whatever is done, the mean return is 2 * (1 - 0.99**48) - 1 = -0.23.
    """

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), "float32")
    action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = LIMIT

    def draw_initial(self, key, num_envs):
        return {"unused": random.uniform(key, (num_envs,))}

    def initial(self, draws):
        time = ops.zeros_like(draws["unused"], dtype="int32")
        return {**draws, "time": time, "terminated": time > 0}

    def draw_step(self, key, num_envs):
        return {"luck": random.uniform(key, (num_envs,))}

    def transition(self, state, action, draws):
        time, lucky = state["time"] + 1, draws["luck"] < LUCK
        at_limit = time >= LIMIT
        reward = ops.where(lucky, 1.0, ops.where(at_limit, -1.0, 0.0))
        state = {**state, "time": time, "terminated": lucky}
        return state, reward, lucky, ops.logical_and(at_limit, ops.logical_not(lucky))

    def observation(self, state):
        return ops.cast(state["time"], "float32")[:, None] / LIMIT


class PlainLoop:
    """The oracle: lists of episodes, one environment after the other."""

    def __init__(self, num_envs, kept):
        self.windows, self.kept, self.mmer = (
            [deque(maxlen=kept) for _ in range(num_envs)],
            kept,
            None,
        )

    def after(self, ended, returns, lengths):
        for window, n, row, steps in zip(self.windows, ended, returns, lengths, strict=True):
            window.extend(reversed(list(zip(row, steps, strict=True))[: int(n)]))
        if sum(ended) == 0 or not all(self.windows):
            return None, None
        means = [np.mean([np.mean([e[i] for e in w]) for w in self.windows]) for i in (0, 1)]
        if all(len(window) == self.kept for window in self.windows):
            self.mmer = means[0] if self.mmer is None else max(self.mmer, means[0])
        return means


def as_values(ended, returns, lengths):
    arrays = {"episodes": ended, "episode_returns": returns, "episode_lengths": lengths}
    return {name: np.asarray(array, "float64") for name, array in arrays.items()}


@pytest.mark.parametrize(("num_envs", "kept"), [(1, 5), (3, 1), (4, 3)])
def test_means_and_mmer_are_those_of_a_plain_loop_through_saving_and_loading(num_envs, kept):
    generator = np.random.default_rng(num_envs)
    record, plain = EpisodeRecord.empty(num_envs, kept, 10), PlainLoop(num_envs, kept)
    seen = 0
    for update in range(1, 60):
        ended = generator.poisson(generator.choice([0.0, 0.4, 2.5]), num_envs)
        returns, lengths = generator.normal(size=(2, num_envs, kept))
        for rows in (returns, lengths):  # the iteration leaves 0 where fewer ended
            rows[np.arange(kept) >= ended[:, None]] = 0.0
        metadata = json.loads(json.dumps(record.to_metadata()))
        record = EpisodeRecord.empty(num_envs, kept, 10).restored(metadata)
        record, metrics = record.after(as_values(ended, returns, lengths), 2.0, update)
        assert metrics["env_steps"] == 10 * update and metrics["steps_per_s"] == 5.0
        expected = plain.after(ended, returns, lengths)
        for name, value in zip(("return", "length"), expected, strict=True):
            found = metrics[f"episode_{name}_mean"]
            assert found == (value if value is None else pytest.approx(value))
        assert metrics["mmer"] == (plain.mmer if plain.mmer is None else pytest.approx(plain.mmer))
        assert metrics["episodes"] == ended.sum() and metrics["wall_time_s"] == 2.0 * update
        seen += plain.mmer is not None
    assert seen > 5


def test_a_record_is_not_changed_by_an_update():
    record = EpisodeRecord.empty(2, 2, 8)
    before = json.dumps(record.to_metadata())
    record.after(as_values([2, 1], np.ones((2, 2)), np.ones((2, 2))), 1.0, 1)
    assert json.dumps(record.to_metadata()) == before


def test_a_checkpoint_of_before_the_window_keeps_its_mmer_and_starts_an_empty_one():
    record = EpisodeRecord.empty(4, 2, 8).restored({"mmer": 0.5, "wall_time_s": 3.0})
    assert (record.mmer, record.wall_time_s, record.count.tolist()) == (0.5, 3.0, [0] * 4)


@pytest.mark.parametrize(
    "episodes",
    [
        *([], {}, "garbled", {"returns": [[1.0]]}),
        {"returns": [[1.0]] * 2, "lengths": [[1.0], []]},
        {"returns": [[1.0, 1.0, 1.0]] * 2, "lengths": [[1.0, 1.0, 1.0]] * 2},
        {"returns": [["a"]] * 2, "lengths": [[1.0]] * 2},
        {"returns": [1.0] * 2, "lengths": [[1.0]] * 2},
    ],
)
def test_a_window_of_another_form_is_refused(episodes):
    metadata = {"mmer": None, "wall_time_s": 0.0, "latest_episodes": episodes}
    with pytest.raises(RunError, match="The checkpoint should hold"):
        EpisodeRecord.empty(2, 2, 8).restored(metadata)


@pytest.fixture(scope="module")
def lucky():
    """The metrics of a training with early luck, and what its iterations returned."""
    returned, compile_iteration = [], Learner.compile

    def compile_and_note(learner, state):
        run = compile_iteration(learner, state)

        def note(state):
            state, tensors = run(state)
            names = ("episodes", "episode_returns", "episode_lengths")
            returned.append([ops.convert_to_numpy(tensors[name]) for name in names])
            return state, tensors

        return note

    agent = PPO(EarlyLuck(), memory="mlp", config=small_config(learning_rate=1e-9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "compile", compile_and_note)
        history = agent.fit(120 * STEPS, log_every=1, verbose=False).history
    return agent, history, returned


@pytest.mark.slow
def test_the_metrics_of_a_training_are_those_of_a_plain_loop(lucky):
    agent, history, returned = lucky
    plain = PlainLoop(8, agent.config.episodes_kept)
    assert agent.config.episodes_kept == 13
    for update, values in enumerate(returned):
        mean, length = plain.after(*values)
        for name, value in (
            ("episode_return_mean", mean),
            ("episode_length_mean", length),
            ("mmer", plain.mmer),
        ):
            value = math.nan if value is None else value
            assert history[name][update] == pytest.approx(value, nan_ok=True), (name, update)
    assert plain.mmer is not None


@pytest.mark.slow
def test_early_luck_counts_no_more_than_it_is_worth(lucky):
    _, history, returned = lucky
    lengths = np.concatenate([lengths[lengths > 0] for _, _, lengths in returned])
    truth = 2 * (1 - (1 - LUCK) ** LIMIT) - 1
    of_updates = [r[r != 0].mean() for _, r, _ in returned if (r != 0).any()]
    assert max(of_updates) == 1.0  # what an update's own episodes would claim
    means = np.array(history["episode_return_mean"])
    first = int(np.flatnonzero(~np.isnan(means))[0])
    assert first >= LIMIT // 16 - 1  # after every environment has ended an episode
    # A hundred episodes of a standard deviation below 1, over all of the training.
    assert abs(np.nanmean(means[60:]) - truth) < 0.2
    assert np.nanmax(means[60:]) < truth + 0.45 and history["mmer"][-1] < truth + 0.45
    assert np.isnan(history["mmer"][first]) and lengths.max() == LIMIT


@pytest.mark.slow
def test_lucky_early_escapes_are_no_score_of_a_labyrinth():
    config = small_config(num_envs=4, num_steps=64, num_minibatches=1)
    agent = PPO("LabyrinthEscapeEasy", memory="mlp", config=config)
    history = agent.fit(6 * 256, log_every=1, verbose=False).history
    assert sum(history["episodes"]) < 100
    assert np.isnan(history["mmer"]).all()
    ended_everywhere = agent.environment.max_episode_steps // 64
    means = history["episode_return_mean"][: min(ended_everywhere, 6) - 1]
    assert np.isnan(means).all() or sum(history["episodes"]) >= 4
