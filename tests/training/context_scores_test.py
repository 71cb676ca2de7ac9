"""What is reported about contexts that were played."""

import json

import numpy as np
import pytest

from keras_s5rl.training.context_scores import score_contexts

pytestmark = pytest.mark.not_on_tensorflow

CONTEXTS, TRIALS, STEPS = 40, 30, 7  # more trials than fit into a hundred bins twice


@pytest.fixture(scope="module")
def played():
    """Contexts as they are recorded: past the end of one, rewards and places mean nothing."""
    rng = np.random.default_rng(0)
    time = TRIALS * STEPS
    reward = rng.normal(size=(time, CONTEXTS)).astype("float32")
    active = np.zeros((time, CONTEXTS), "bool")
    trial, step = (np.full((time, CONTEXTS), -99, "int32") for _ in range(2))
    lengths = rng.integers(1, STEPS + 1, (CONTEXTS, TRIALS))
    lengths[:, 0], lengths[0] = np.maximum(lengths[:, 0], 3), STEPS
    for context, of_trials in enumerate(lengths):
        t = 0
        for k, length in enumerate(of_trials):
            for s in range(length):
                active[t, context], trial[t, context], step[t, context] = True, k, s
                t += 1
    reward[~active] = np.nan
    return reward, active, trial, step, lengths


def interval(values):
    return np.mean(values), 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))


def by_hand(reward, lengths):
    """Rewards as nested lists: context, trial, step."""
    contexts = []
    for context, of_trials in enumerate(lengths):
        values, contexts_trials = iter(reward[:, context].astype("float64")), []
        for length in of_trials:
            contexts_trials.append([next(values) for _ in range(length)])
        contexts.append(contexts_trials)
    return contexts


def test_scores_are_means_over_contexts_with_their_confidence_intervals(played):
    reward, active, trial, step, lengths = played
    score = score_contexts(reward, active, trial, step, TRIALS, STEPS)
    contexts = by_hand(reward, lengths)
    returns = [[sum(rewards) / STEPS for rewards in trials] for trials in contexts]

    means = [np.mean(of_trials) for of_trials in returns]
    assert (score["return_mean"], score["return_ci95"]) == pytest.approx(interval(means), abs=1e-6)
    for k in range(TRIALS):
        expected = interval([of_trials[k] for of_trials in returns])
        got = score["trial_return_mean"][k], score["trial_return_ci95"][k]
        assert got == pytest.approx(expected, abs=1e-6)
    for s in range(STEPS):
        rewards = [trials[0][s] if s < len(trials[0]) else 0.0 for trials in contexts]
        got = [score["first_trial"][name][s] for name in ("reward_mean", "reward_ci95")]
        assert got == pytest.approx(interval(rewards), abs=1e-6)


def test_contexts_that_are_over_no_longer_count_at_a_step(played):
    reward, active, trial, step, lengths = played
    score = score_contexts(reward, active, trial, step, TRIALS, STEPS)
    flat = [sum(trials, []) for trials in by_hand(reward, lengths)]
    for t in range(TRIALS * STEPS):
        values = [rewards[t] for rewards in flat if t < len(rewards)]
        assert score["count"][t] == len(values)
        if len(values) > 1:
            got = score["reward_mean"][t], score["reward_ci95"][t]
            assert got == pytest.approx(interval(values), abs=1e-6)
    assert score["count"][0] == CONTEXTS
    assert score["count"][-1] == 1 and score["reward_ci95"][-1] == 0.0

    others = (array[:, 1:] for array in (reward, active, trial, step))
    score = score_contexts(*others, TRIALS, STEPS)
    assert score["count"][-1] == 0 and score["reward_mean"][-1] is None
    json.dumps(score, allow_nan=False)


def test_bins_hold_steps_of_one_trial_and_zeros_where_it_ended_early(played):
    reward, active, trial, step, lengths = played
    binned = score_contexts(reward, active, trial, step, TRIALS, STEPS)["binned"]
    edges = [0, 2, 5, 7]  # a hundredth of the context is 2.1 steps
    places = []
    for k in range(TRIALS):
        for b, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            places.append(k * STEPS + (low + high - 1) / 2)
            means = [sum(trials[k][low:high]) / (high - low) for trials in by_hand(reward, lengths)]
            index = k * (len(edges) - 1) + b
            got = binned["reward_mean"][index], binned["reward_ci95"][index]
            assert got == pytest.approx(interval(means), abs=1e-6)
    assert binned["step"] == places


def test_a_bin_holds_at_least_a_step_and_a_trial_at_least_a_bin():
    ones = np.ones((6, 2))
    trial, step = np.repeat([[0], [1]], 3, axis=0), np.tile([[0], [1], [2]], (2, 1))
    trial, step = (np.broadcast_to(array, ones.shape) for array in (trial, step))
    binned = score_contexts(ones, ones > 0, trial, step, 2, 3)["binned"]
    assert binned["step"] == [0, 1, 2, 3, 4, 5] and binned["reward_mean"] == [1.0] * 6
    trial = np.broadcast_to(np.arange(400)[:, None], (400, 2))
    ones = np.ones((400, 2))
    binned = score_contexts(ones, ones > 0, trial, 0 * trial, 400, 1)["binned"]
    assert len(binned["step"]) == 400
