"""`GRU` and `LSTM` beside their equations, Keras' cells and `Resettable` of these."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import GRU, LSTM, Resettable
from tests.layers.equations import check_equations
from tests.support.differentiate import compiled, gradients

FEATURES, UNITS = 3, 4
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 6, FEATURES)).astype("float32")
RESETS = np.array([[False, False, True, False, False, True], [True] + [False] * 5])
MASK = np.array([[True, False, False, True, True, True], [True, True, False, True, True, False]])
KINDS = {"GRU": (GRU, keras.layers.GRUCell), "LSTM": (LSTM, keras.layers.LSTMCell)}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(weights, inputs, states, lengths):
    kernel, recurrent_kernel, (input_bias, recurrent_bias) = weights
    u_z, u_r, u_g = np.split(inputs @ kernel + input_bias, 3, axis=-1)
    p_z, p_r, p_g = np.split(states[0] @ recurrent_kernel + recurrent_bias, 3, axis=-1)
    z, r = sigmoid(u_z + p_z), sigmoid(u_r + p_r)
    h = z * states[0] + (1 - z) * np.tanh(u_g + r * p_g)
    return h, [h]


def lstm_step(weights, inputs, states, lengths):
    kernel, recurrent_kernel, bias = weights
    h, c = states
    i, f, g, o = np.split(inputs @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("backwards", (False, True))
@pytest.mark.parametrize(("make", "step"), [(GRU, gru_step), (LSTM, lstm_step)])
def test_outputs_states_and_gradients_are_those_of_the_equations(make, step, backwards):
    layer = make(
        UNITS, return_state=True, zero_output_for_mask=True, go_backwards=backwards, seed=0
    )
    check_equations(layer, step, FEATURES)


def pair(kind):
    """The layer, and `Resettable` of Keras' cell with the same weights."""
    make, cell = kind
    layer, other = make(UNITS, return_state=True), Resettable(cell(UNITS), return_state=True)
    other.build(INPUTS.shape)
    layer.build(INPUTS.shape)
    layer.set_weights([to_numpy(w) + 0.1 * RNG.normal(size=w.shape) for w in other.weights])
    other.set_weights(layer.get_weights())
    return layer, other


@pytest.mark.slow
def test_it_takes_the_weights_of_the_cell_of_keras_and_computes_the_same(kind):
    layer, other = pair(kind)
    assert [(w.name, w.shape) for w in layer.weights] == [(w.name, w.shape) for w in other.weights]

    def call(layer):
        return [to_numpy(x) for x in compiled(lambda u: layer(u, resets=RESETS, mask=MASK))(INPUTS)]

    for found, expected in zip(call(layer), call(other), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    def loss(layer):
        def of(inputs, *weights):
            results, _ = layer.stateless_call(weights, layer.non_trainable_variables, inputs)
            return sum(keras.ops.sum(result**2) for result in results)

        return of

    arguments = [INPUTS, *layer.get_weights()]
    found, expected = (gradients(loss(k), arguments, compile=True) for k in (layer, other))
    for gradient, wanted in zip(found, expected, strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5 * scale)


def test_initial_weights_are_orthogonal_and_the_bias_is_that_of_keras(kind):
    make, cell = kind
    layer, cell = make(UNITS, seed=0), cell(UNITS)
    layer.build(INPUTS.shape)
    cell.build((None, FEATURES))
    for kernel in (layer.kernel, layer.recurrent_kernel):
        rows = to_numpy(kernel)
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-5)
    np.testing.assert_array_equal(to_numpy(layer.bias), to_numpy(cell.bias))


def test_given_initializers_draw_the_weights_and_are_kept_in_the_config(kind):
    make, _ = kind
    layer = make(UNITS, kernel_initializer="zeros", recurrent_initializer="ones")
    again = make.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.build(INPUTS.shape)
    assert not to_numpy(again.kernel).any() and (to_numpy(again.recurrent_kernel) == 1).all()


@pytest.mark.slow
def test_under_mixed_bfloat16_only_the_product_with_the_input_is_rounded(kind):
    make, _ = kind
    layer = make(UNITS, kernel_initializer="zeros", return_state=True, dtype="mixed_bfloat16")
    exact = make(UNITS, kernel_initializer="zeros", return_state=True)
    for each in (layer, exact):
        each.build(INPUTS.shape)
    exact.set_weights(layer.get_weights())
    start = [RNG.normal(size=(2, UNITS)).astype("float32") for _ in layer.state_shapes]
    _, *found = layer(INPUTS, initial_state=start)
    _, *expected = exact(INPUTS, initial_state=start)
    for state, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(state), to_numpy(wanted), rtol=1e-5, atol=1e-6)
