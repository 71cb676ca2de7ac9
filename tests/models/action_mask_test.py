"""Masks of illegal actions: in draws, log-probabilities and entropies, and in a policy."""

import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.models import (
    ActorCritic,
    Categorical,
    MultiCategorical,
    distribution_for,
    load_policy,
    make_memory,
)
from tests.models.distributions_test import NESTED

MASK = np.array(
    [[1, 0, 1, 0, 1], [0, 0, 1, 1, 1], [1, 1, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]], "float32"
)
LOGITS = np.random.default_rng(0).normal(size=MASK.shape).astype("float32") * 3


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def masked_softmax(logits, mask):
    """Probabilities over the legal choices, over all where none is legal; in float64."""
    probabilities = np.zeros(logits.shape)
    for row, (values, legal) in enumerate(zip(logits.astype("float64"), mask, strict=True)):
        legal = np.flatnonzero(legal) if legal.any() else np.arange(len(values))
        weights = np.exp(values[legal] - values[legal].max())
        probabilities[row, legal] = weights / weights.sum()
    return probabilities


def entropy_of(probabilities):
    return -np.sum(probabilities * np.log(np.where(probabilities > 0, probabilities, 1)), axis=1)


@pytest.mark.portable
def test_log_probabilities_and_entropy_are_those_of_the_legal_actions():
    distribution = Categorical(5, start=2)
    parameters, expected = distribution.masked(LOGITS, MASK), masked_softmax(LOGITS, MASK)
    for action in range(5):
        log_prob = numpy(distribution.log_prob(parameters, np.full(5, action + 2, "int32")))
        legal = expected[:, action] > 0
        np.testing.assert_allclose(log_prob[legal], np.log(expected[legal, action]), 1e-5, 1e-6)
        assert (np.exp(log_prob[~legal]) == 0).all() and np.isfinite(log_prob).all()
    np.testing.assert_allclose(
        numpy(distribution.entropy(parameters)), entropy_of(expected), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(numpy(distribution.mode(parameters)), expected.argmax(1) + 2)


@pytest.mark.portable
def test_each_number_of_an_action_has_its_part_of_the_mask():
    distribution = MultiCategorical([3, 2], starts=[1, 0])
    parameters = distribution.masked(LOGITS, MASK)
    first, second = (masked_softmax(LOGITS[:, c], MASK[:, c]) for c in (slice(3), slice(3, 5)))
    np.testing.assert_allclose(
        numpy(distribution.entropy(parameters)),
        entropy_of(first) + entropy_of(second),
        rtol=1e-5,
        atol=1e-6,
    )
    mode = np.stack([first.argmax(1) + 1, second.argmax(1)], axis=1)
    np.testing.assert_array_equal(numpy(distribution.mode(parameters)), mode)
    log_prob = np.log(first.max(1)) + np.log(second.max(1))
    np.testing.assert_allclose(
        numpy(distribution.log_prob(parameters, mode.astype("int32"))), log_prob, rtol=1e-5
    )


def test_an_illegal_action_is_never_taken_in_a_million_draws():
    logits = np.array([9.0, 5.0, -4.0, -9.0, 0.0], "float32")
    mask = np.array([0, 0, 1, 1, 0], "float32")
    parameters = ops.tile(Categorical(5).masked(logits[None], mask[None]), (1_000_000, 1))
    actions = numpy(Categorical(5).sample(parameters, random.key(0)))
    counts = np.bincount(actions, minlength=5)
    assert counts[[0, 1, 4]].sum() == 0
    np.testing.assert_allclose(counts[3] / 1e6, 1 / (1 + np.exp(5.0)), rtol=0.05)


def make_policy(distribution, action_mask, size=9, **arguments):
    memory = make_memory("mlp", width=8, num_layers=1, seed=1)
    return ActorCritic(
        size, distribution, memory, (8,), (8,), seed=2, action_mask=action_mask, **arguments
    )


@pytest.mark.slow
@pytest.mark.portable
def test_a_policy_masks_sequences_steps_and_actions_and_is_saved_with_its_mask(tmp_path):
    observations = np.random.default_rng(1).normal(size=(5, 9)).astype("float32")
    observations[:, 2:7] = MASK
    policy = make_policy(MultiCategorical([3, 2]), (2, 7))
    unmasked = make_policy(MultiCategorical([3, 2]), None)
    plain = numpy(unmasked(observations[:, None])[0])[:, 0]
    illegal = MASK == 0
    illegal[3:, :3] = illegal[4:, 3:] = False  # no choice is legal there
    expected = np.where(illegal, -1e9, plain)
    policy.save(tmp_path / "policy.keras")
    for each in (policy, load_policy(tmp_path / "policy.keras")):
        assert each.action_mask == (2, 7)
        parameters = numpy(each(observations[:, None])[0])[:, 0]
        np.testing.assert_allclose(parameters, expected, rtol=1e-6)
        step, *_ = each.step(observations, np.zeros(5, bool), [])
        np.testing.assert_allclose(numpy(step), expected, rtol=1e-6)
        action, _ = each.act(observations, np.zeros(5, bool), [])
        chosen = np.stack([expected[:, :3].argmax(1), expected[:, 3:].argmax(1)], 1)
        np.testing.assert_array_equal(numpy(action), chosen)


def test_gradients_are_finite_and_0_for_illegal_actions():
    distribution = Categorical(5)

    def loss(values):
        parameters = distribution.masked(values[0], MASK)
        actions = ops.convert_to_tensor(np.array([0, 2, 1, 3, 4], "int32"))
        return ops.sum(
            distribution.log_prob(parameters, actions) + distribution.entropy(parameters)
        ), ()

    _, (gradient,) = backend.value_and_gradients(loss, [ops.convert_to_tensor(LOGITS)])
    gradient = numpy(gradient)
    assert np.isfinite(gradient).all()
    assert (gradient[:4][MASK[:4] == 0] == 0).all() and np.abs(gradient[4]).min() > 0


@pytest.mark.parametrize(
    ("distribution", "action_mask", "expected"),
    [
        (Categorical(5), (2, 6), "should be 5 columns of the 9 .*Received: action_mask=.2, 6., 4"),
        (Categorical(5), (6, 11), "should be 5 columns of the 9"),
        (distribution_for(gymnasium.spaces.Box(-1, 1, (5,))), (2, 7), "actions are continuous"),
        (distribution_for(NESTED), (0, 9), "should be None where actions are continuous"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(distribution, action_mask, expected):
    with pytest.raises(ValueError, match=f"`action_mask` .*{expected}"):
        make_policy(distribution, action_mask)
