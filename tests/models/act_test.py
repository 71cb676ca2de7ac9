"""`act` as a compiled program: it follows the weights, can be traced, and leaves no trace."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from tests.models.actor_critic_test import BATCH, make_policy, random_state, sequence

OBSERVATIONS, RESETS = sequence()


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["s5", "gru", "mlp"])
def test_it_does_what_a_step_and_the_distribution_do_with_the_weights_of_now(memory):
    policy, key = make_policy(memory), random.key(3)
    for _ in range(2):
        state = random_state(policy)
        parameters, _, expected = policy.step(OBSERVATIONS[:, 0], RESETS[:, 0], state)
        for deterministic, action in (
            (True, policy.distribution.mode(parameters)),
            (False, policy.distribution.sample(parameters, key)),
        ):
            found, after = policy.act(OBSERVATIONS[:, 0], RESETS[:, 0], state, deterministic, key)
            np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(action))
            for ours, theirs in zip(after, expected, strict=True):
                np.testing.assert_allclose(
                    ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), rtol=1e-5, atol=1e-6
                )
        policy.set_weights([-2.0 * weight for weight in policy.get_weights()])


@pytest.mark.slow
def test_it_can_be_part_of_a_program_and_differentiated():
    policy = make_policy("gru")
    state = random_state(policy)
    values = [ops.convert_to_tensor(array) for array in policy.get_weights()]

    def loss(values):
        mapping = list(zip(policy.trainable_variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            _, (after, *_) = policy.act(OBSERVATIONS[:, 0], RESETS[:, 0], state)
        return ops.sum(ops.square(after)), after

    def expected_loss(values):
        mapping = list(zip(policy.trainable_variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            _, _, (after, *_) = policy.step(OBSERVATIONS[:, 0], RESETS[:, 0], state)
        return ops.sum(ops.square(after)), after

    program = backend.compile(lambda values: backend.value_and_gradients(loss, values))
    (value, _), gradients = program(values)
    (expected, _), expected_gradients = backend.value_and_gradients(expected_loss, values)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    sizes = [float(ops.max(ops.abs(gradient))) for gradient in gradients]
    assert max(sizes) > 0
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
def test_programs_are_not_part_of_the_policy(tmp_path):
    policy = make_policy("gru")
    arguments = OBSERVATIONS[:, 0], RESETS[:, 0], policy.get_initial_state(BATCH)
    before = policy.get_config()
    action, _ = policy.act(*arguments)
    assert policy.get_config() == before
    policy.save(tmp_path / "policy.keras")
    for other in (
        pickle.loads(pickle.dumps(policy)),
        copy.deepcopy(policy),
        keras.saving.load_model(tmp_path / "policy.keras"),
        keras.models.clone_model(policy),
    ):
        if other.get_weights()[0].tolist() != policy.get_weights()[0].tolist():
            other.set_weights(policy.get_weights())  # a clone has weights of its own
        found, _ = other.act(*arguments)
        np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(action))
