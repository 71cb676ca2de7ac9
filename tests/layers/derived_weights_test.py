import re

import keras
import numpy as np
import pytest

from keras_s5rl.layers import LRU, S5, MinGRU, S5Stack
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import hold_derived_weights
from keras_s5rl.models import ActorCritic, Categorical

INPUTS = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")


def run(layer):
    return keras.ops.convert_to_numpy(keras.ops.cast(layer(INPUTS), "float32"))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("dtype", ("float32", "mixed_bfloat16"))
@pytest.mark.parametrize("make", (S5, LRU, MinGRU, Dense))
def test_held_weights_give_the_same_outputs_and_are_read_anew_afterwards(make, dtype):
    layer = make(8, dtype=dtype)
    model = keras.Sequential([keras.Input((5, 6)), layer])
    before = run(layer)
    with hold_derived_weights(model):
        np.testing.assert_allclose(run(layer), before, rtol=1e-6, atol=1e-6)
        for weight in layer.weights:
            if weight.name not in ("D", "bias"):  # of which nothing is derived
                weight.assign(0.5 * weight)
        if keras.backend.backend() != "torch":  # which assigns in place: what is held may be it
            np.testing.assert_allclose(run(layer), before, rtol=1e-6, atol=1e-6)
    assert np.abs(run(layer) - before).max() > 1e-2
    assert layer.held_weights is None


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="The text of a program is JAX's.")
def test_a_loop_of_steps_discretises_once():
    import jax

    memory = S5Stack(2, 8, state_size=16, return_state=True, dtype="mixed_bfloat16")
    policy = ActorCritic(6, Categorical(3), memory)
    inputs = keras.ops.ones((4, 6))

    def loop(state):
        with hold_derived_weights(policy):

            def step(state, _):
                logits, _, state = policy.step(inputs, None, state)
                return state, logits

            return jax.lax.scan(step, state, None, length=9)

    text = jax.jit(loop).lower(policy.get_initial_state(4)).as_text()
    body = text[text.index(" do {") :]
    assert "stablehlo.cosine" in text[: text.index("stablehlo.while")]
    assert not re.search("stablehlo.(cosine|sine|exponential_minus_one)", body), body
