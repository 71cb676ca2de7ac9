"""The memories gru and lstm beside what they were before: `Resettable` of Keras' cells."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import Resettable
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.models import ActorCritic, Categorical, load_policy, make_memory

WIDTH, LAYERS, SEED = 4, 2, 3
CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}
RNG = np.random.default_rng(0)
OBSERVATIONS = RNG.normal(size=(2, 5, 3)).astype("float32")
RESETS = RNG.random((2, 5)) < 0.3


def memory_of_before(memory):
    seeds = derive_seeds(SEED, 2 * LAYERS)
    cells = [
        CELLS[memory](
            WIDTH,
            kernel_initializer=Orthogonal(seed=seeds[2 * i]),
            recurrent_initializer=Orthogonal(seed=seeds[2 * i + 1]),
            name=f"cell_{i}",
        )
        for i in range(LAYERS)
    ]
    return Resettable(cells, return_state=True, name="memory")


def policy_of(memory):
    return ActorCritic(
        3, Categorical(2), memory, encoder_sizes=(WIDTH,), head_sizes=(WIDTH,), seed=1
    )


def results(policy):
    parameters, value, state = policy(OBSERVATIONS, resets=RESETS)
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in (parameters, value, *state)]


@pytest.mark.slow
@pytest.mark.parametrize("memory", CELLS)
def test_weights_states_and_saved_policies_of_before_fit(memory, tmp_path):
    before = policy_of(memory_of_before(memory))
    now = policy_of(make_memory(memory, width=WIDTH, num_layers=LAYERS, seed=SEED))
    expected = results(before)
    for found, wanted in zip(results(now), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    # A checkpoint holds the trainable variables in their order.
    pairs = zip(now.trainable_variables, before.trainable_variables, strict=True)
    for variable, earlier in pairs:
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (variable, earlier)))
    before.save(tmp_path / "policy.keras")
    for found, wanted in zip(
        results(load_policy(tmp_path / "policy.keras")), expected, strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
