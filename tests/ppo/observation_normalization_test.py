"""A learner that normalises observations, against numpy in float64."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from tests.support.learners import Countdown, make_learner, to_numpy

pytestmark = pytest.mark.not_on_tensorflow


@pytest.fixture(scope="module")
def played():
    """A rollout, its batch and the losses on it before any gradient step, and an iteration."""
    learner = make_learner(Countdown(), memory="mlp", normalize_observations=True)

    @backend.compile
    def play(state):
        played, rollout = learner.rollout(state, random.key(1))
        batch = learner.training_batch(rollout, state["memory"])
        _, same = learner.loss(state["trainable"], batch | {"statistics": state["statistics"]})
        _, other = learner.loss(state["trainable"], batch | {"statistics": played["statistics"]})
        return rollout["observation"], played["statistics"], same, other

    state = learner.initial_state(random.key(0))
    size = learner.policy.observation_size
    statistics = [np.full(size, 2.5), np.full(size, 4.0), np.array(50.0)]
    state["statistics"] = [ops.convert_to_tensor(value, dtype="float32") for value in statistics]
    return learner, statistics, to_numpy(play(state))


@pytest.mark.slow
def test_every_ratio_is_1_under_the_statistics_of_the_rollout_and_under_no_others(played):
    _, _, (_, _, same, other) = played
    assert abs(same["approx_kl"]) < 1e-6 and same["clip_fraction"] == 0
    assert other["approx_kl"] > 1e-6


@pytest.mark.slow
def test_statistics_are_merged_with_those_of_the_rollout(played):
    _, (mean, variance, count), (observations, merged, _, _) = played
    rows = observations.reshape(-1, observations.shape[-1]).astype("float64")
    total = count + len(rows)
    expected = (count * mean + rows.sum(0)) / total
    squares = count * (variance + mean**2) + (rows**2).sum(0)
    np.testing.assert_allclose(merged[0], expected, rtol=1e-4)
    np.testing.assert_allclose(merged[1], squares / total - expected**2, rtol=1e-4)
    assert merged[2] == total


def test_numbers_of_the_environment_are_normalised_alone():
    learner = make_learner(Countdown(), memory="mlp", normalize_observations=True)
    assert learner.policy.normalization.features == [0, 1]
    assert list(learner.variables) == ["trainable", "optimizer", "statistics"]
    cards = make_learner("RepeatPreviousEasy", memory="mlp", normalize_observations=True)
    for other in (cards, make_learner(Countdown(), memory="mlp")):
        assert other.policy.normalization is None
        assert list(other.variables) == ["trainable", "optimizer"]
