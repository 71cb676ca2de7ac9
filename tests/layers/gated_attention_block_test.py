import keras
import numpy as np
import pytest

from keras_s5rl.layers import GatedAttentionBlock
from keras_s5rl.layers.gru_gate import GRUGate
from tests.layers import attention_block_test
from tests.support.differentiate import compiled, gradients

WIDTH, HEADS, CONTEXT = 4, 2, 3
RNG = np.random.default_rng(0)


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate_weights(gate):
    kernels = [gate.of_outputs.kernel, gate.of_inputs.kernel, gate.of_reset_inputs.kernel]
    return [*kernels, gate.bias]


def gated(weights, x, y):
    """Section 3.2 of the paper, with the relu that is before it."""
    w, u, u_g, bias = weights
    w_r, w_z, w_g = np.split(np.maximum(y, 0.0) @ w, 3, axis=-1)
    u_r, u_z = np.split(x @ u, 2, axis=-1)
    r, z = sigmoid(w_r + u_r), sigmoid(w_z + u_z - bias)
    return (1 - z) * x + z * np.tanh(w_g + (r * x) @ u_g)


def make():
    block = GatedAttentionBlock(WIDTH, HEADS, CONTEXT, seed=0)
    block.build((None, None, WIDTH))
    for weight in block.trainable_weights:
        weight.assign(to_numpy(weight) + 0.3 * RNG.normal(size=weight.shape))
    return block


@pytest.mark.slow
def test_outputs_states_and_gradients_are_those_of_the_equations():
    block = make()
    inputs, resets, mask, (*cache, valid) = attention_block_test.case(WIDTH, CONTEXT, 5, seed=3)
    variables = attention_block_test.weights_of(block)
    counts = [len(variables)]
    for gate in (block.attention_gate, block.feed_forward_gate):
        variables = variables + gate_weights(gate)
        counts.append(len(variables))
    assert len(variables) == len(block.trainable_weights)
    upstream = [RNG.normal(size=x.shape).astype("float32") for x in (inputs, *cache)]
    upstream[0] *= mask[..., None]

    def results(upstream, inputs, keys, values, *weights):
        with keras.StatelessScope(list(zip(variables, weights, strict=True))):
            outputs, states = block.run(inputs, [keys, values, valid], resets, mask)
        pairs = zip((outputs, *states[:2]), upstream, strict=True)
        return sum(keras.ops.sum(a * b) for a, b in pairs)

    def expected_results(inputs, keys, values, *weights):
        gates = {"attention": weights[counts[0] : counts[1]], "feed_forward": weights[counts[1] :]}
        outputs, states = attention_block_test.oracle(
            weights[: counts[0]],
            *(HEADS, CONTEXT, inputs, resets, mask, [keys, values, valid]),
            join=lambda part, x, y: gated(gates[part], x, y),
        )
        return outputs, *states[:2]

    def loss(*tensors):
        return results(tensors[:3], *tensors[3:])

    arguments = [inputs, *cache, *map(to_numpy, variables)]
    # The gradient for the weight of a result is the result itself.
    found = gradients(loss, [*upstream, *arguments], compile=True)
    found[0] = found[0] * mask[..., None]
    arguments = [argument.astype("float64") for argument in arguments]
    expected = list(expected_results(*arguments))
    for argument in arguments:
        slope = np.zeros(argument.shape)
        for place in np.ndindex(argument.shape):
            value = argument[place]
            for nudge in (1e-6, -1e-6):
                argument[place] = value + nudge
                pairs = zip(expected_results(*arguments), upstream, strict=True)
                slope[place] += sum(np.sum(a * b) for a, b in pairs) / (2 * nudge)
            argument[place] = value
        expected.append(slope)
    attention_block_test.close(found, expected)


def test_the_gate_follows_its_equation_and_its_bias_starts_at_two():
    gate = GRUGate(WIDTH, seed=0)
    gate.build((None, WIDTH))
    x, y = RNG.normal(size=(2, 400, WIDTH)).astype("float32")
    found = to_numpy(gate(x, np.maximum(y, 0.0)))
    expected = gated([to_numpy(w) for w in gate_weights(gate)], x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(to_numpy(gate.bias), 2.0)


@pytest.mark.slow
def test_a_thousand_steps_of_large_inputs_stay_finite_and_bounded():
    block = make()
    inputs = np.full((1, 1000, WIDTH), 100.0, "float32")
    outputs = to_numpy(compiled(lambda inputs: block(inputs))(keras.ops.convert_to_tensor(inputs)))
    assert np.abs(outputs).max() <= 100.0 + 1e-3  # between an input and 1
