import re

import keras
import numpy as np
import pytest

from keras_s5rl.layers import (
    LRU,
    S5,
    CausalAttention,
    MinGRU,
    ResidualBlock,
    S5Block,
    S5Stack,
    SequenceLayer,
    SequenceStack,
)
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.models import ActorCritic, Categorical, FeedForward

INPUTS = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
NOT_DERIVED = ("D", "bias", "gamma", "beta")


def numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def run(layer, derived=None):
    """The outputs of a step of each row: with states, or of a layer without."""
    rows = keras.ops.convert_to_tensor(INPUTS[:, 0])
    if not hasattr(layer, "step"):
        return numpy(layer(rows, derived=derived))
    return numpy(layer.step(rows, None, layer.get_initial_state(3), derived)[0])


LAYERS = {
    "S5": lambda dtype: S5(8, dtype=dtype),
    "LRU": lambda dtype: LRU(8, dtype=dtype),
    "MinGRU": lambda dtype: MinGRU(8, dtype=dtype),
    "Dense": lambda dtype: Dense(8, dtype=dtype),
    "S5Block": lambda dtype: S5Block(norm="pre", state_size=8, dtype=dtype),
    "S5Stack": lambda dtype: S5Stack(2, 8, state_size=8, norm="pre", dtype=dtype),
    "CausalAttention": lambda dtype: CausalAttention(2, 8, context_length=3, dtype=dtype),
    "FeedForward": lambda dtype: FeedForward(2, 8, dtype=dtype),
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("dtype", ("float32", "mixed_bfloat16"))
@pytest.mark.parametrize("name", LAYERS)
def test_derived_weights_give_the_same_outputs_and_stay_those_of_their_time(name, dtype):
    layer = LAYERS[name](dtype)
    layer.build((None, None, 6))
    before, derived = run(layer), DerivedWeights(layer)
    np.testing.assert_allclose(run(layer, derived), before, rtol=1e-6, atol=1e-6)
    for weight in layer.weights:
        if weight.name not in NOT_DERIVED:
            weight.assign(0.5 * weight)
    if keras.backend.backend() != "torch":  # which assigns in place: what was derived may be it
        np.testing.assert_allclose(run(layer, derived), before, rtol=1e-6, atol=1e-6)
    assert np.abs(run(layer) - before).max() > 1e-3


def test_a_layer_of_the_users_own_needs_no_argument_for_derived_weights():
    class Sum(SequenceLayer):
        state_shapes = [(8,)]

        def output_size(self, features):
            return features

        def build(self, shape):
            self.built = True

        def run(self, inputs, states, resets, mask, step_scale, reverse, training):
            return inputs + states[0], [states[0] + keras.ops.sum(inputs, axis=0)]

    stack = SequenceStack([ResidualBlock(Sum())], width=8)
    stack.build((None, None, 6))
    np.testing.assert_allclose(run(stack, DerivedWeights(stack)), run(stack), rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="The text of a program is JAX's.")
def test_a_loop_of_steps_discretises_once():
    import jax

    memory = S5Stack(2, 8, state_size=16, return_state=True, dtype="mixed_bfloat16")
    policy = ActorCritic(6, Categorical(3), memory)
    inputs = keras.ops.ones((4, 6))

    def loop(state):
        derived = DerivedWeights(policy)

        def step(state, _):
            logits, _, state = policy.step(inputs, None, state, derived)
            return state, logits

        return jax.lax.scan(step, state, None, length=9)

    text = jax.jit(loop).lower(policy.get_initial_state(4)).as_text()
    body = text[text.index(" do {") :]
    assert "stablehlo.cosine" in text[: text.index("stablehlo.while")]
    assert not re.search("stablehlo.(cosine|sine|exponential_minus_one)", body), body
