"""Every kind of cell that `keras.layers.RNN` takes, in `Resettable`, with the RNN as the oracle."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl.layers import Resettable
from tests.support.differentiate import BACKEND, gradients

BATCH, TIME, FEATURES = 2, 5, 3
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
MASK = np.array([[True, True, False, True, False], [True, False, False, True, True]])


class Cell(keras.layers.Layer):
    """A cell without `get_initial_state`, `output_size` and `training`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, inputs_shape):
        self.kernel = self.add_weight(shape=(inputs_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        output = ops.tanh(ops.matmul(inputs, self.kernel) + 0.5 * states[0])
        return output, [output]


class BareState(Cell):
    def call(self, inputs, states):
        output, _ = super().call(inputs, states)
        return output, output


class TwoStates(Cell):
    def __init__(self, units, kind, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = kind((units, units + 1))

    def call(self, inputs, states):
        output, _ = super().call(inputs, states)
        return output, [output, states[1] + 1.0]


class MatrixState(Cell):
    """Its states have two axes, which it alone knows."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size, self.output_size = [(2, 3)], units

    def get_initial_state(self, batch_size=None):
        return [ops.ones((batch_size, 2, 3))]

    def call(self, inputs, states):
        outputs = ops.matmul(inputs, self.kernel) + ops.sum(states[0], axis=(1, 2))[:, None]
        return outputs, [0.5 * states[0] + ops.tile(inputs[:, None, :3], (1, 2, 1))]


class LearnedStart(Cell):
    def build(self, inputs_shape):
        super().build(inputs_shape)
        self.start = self.add_weight(shape=(self.units,), initializer="ones", name="start")

    def get_initial_state(self, batch_size=None):
        return ops.tile(ops.convert_to_tensor(self.start)[None], (batch_size, 1))


class Layers(Cell):
    """A cell of other layers, one of which drops."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.dense = keras.layers.Dense(units)
        self.drop = keras.layers.Dropout(0.5, seed=1)

    def build(self, inputs_shape):
        self.dense.build((None, inputs_shape[-1] + self.units))

    def call(self, inputs, states, training=None):
        output = ops.tanh(self.dense(ops.concatenate([inputs, states[0]], axis=-1)))
        return self.drop(output, training=training), [output]


CELLS = {
    "int": lambda: Cell(4),
    "bare state": lambda: BareState(4),
    "list": lambda: TwoStates(4, list),
    "matrix": lambda: MatrixState(4),
    "learned": lambda: LearnedStart(4),
    "layers": lambda: Layers(4),
    "LSTM": lambda: keras.layers.LSTMCell(4),
    "GRU": lambda: keras.layers.GRUCell(4, dropout=0.3, recurrent_dropout=0.3),
    "stack": lambda: keras.layers.StackedRNNCells([Cell(4), keras.layers.LSTMCell(3), Cell(2)]),
}


@pytest.fixture(params=CELLS, ids=str)
def cell(request):
    return CELLS[request.param]()


def to_numpy(tensors):
    return [np.asarray(ops.convert_to_numpy(tensor)) for tensor in keras.tree.flatten(tensors)]


def close(found, expected):
    for a, b in zip(to_numpy(found), to_numpy(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_outputs_states_and_gradients_are_those_of_keras_rnn(cell):
    layer = Resettable(cell, return_state=True)
    for options in ({}, {"go_backwards": True}, {"return_sequences": False}):
        options = {"return_sequences": True, **options}
        rnn = keras.layers.RNN(cell, return_state=True, **options)
        for name, value in {"go_backwards": False, **options}.items():
            setattr(layer, name, value)
        close(layer(INPUTS), rnn(INPUTS))
    rnn = keras.layers.RNN(cell, return_sequences=True)

    def loss(layer):
        return lambda inputs: ops.sum(keras.tree.flatten(layer(inputs))[0] ** 2)

    layer.return_sequences, layer.go_backwards = True, False
    close(gradients(loss(layer), [INPUTS]), gradients(loss(rnn), [INPUTS]))


@pytest.mark.slow_after(1)
def test_masks_and_initial_states_are_those_of_keras_rnn(cell):
    rnn = keras.layers.RNN(
        cell, return_sequences=True, return_state=True, zero_output_for_mask=True
    )
    layer = Resettable(cell, return_state=True, zero_output_for_mask=True)
    if not isinstance(cell, MatrixState):  # masks of RNN on JAX are for vectors
        close(layer(INPUTS, mask=MASK), rnn(INPUTS, mask=MASK))
    _, *states = rnn(INPUTS)
    close(layer(INPUTS, initial_state=states), rnn(INPUTS, initial_state=states))


@pytest.mark.slow_after(1)
def test_resets_are_pieces_run_apart(cell):
    layer = Resettable(cell, return_state=True)
    resets = np.zeros((BATCH, TIME), bool)
    resets[:, 2] = True
    outputs, *states = layer(INPUTS, resets=resets)
    first, *_ = layer(INPUTS[:, :2])
    second, *last = layer(INPUTS[:, 2:])
    close([outputs, *states], [ops.concatenate([first, second], axis=1), *last])


@pytest.mark.slow_after(1)
def test_models_train_and_predict_and_dropout_draws_anew(cell):
    layer = Resettable(cell)
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer])
    expected = to_numpy(layer(INPUTS))[0]
    close(model.predict(INPUTS, verbose=0), expected)
    if isinstance(cell, Layers):
        first, second = (to_numpy(layer(INPUTS, training=True))[0] for _ in range(2))
        assert ((first == 0) != (second == 0)).any()
        zeros = first == 0
        assert (zeros[:, :-1] != zeros[:, 1:]).any()  # each step draws
    model.compile("sgd", "mse")
    history = model.fit(INPUTS, expected, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.predict(INPUTS, verbose=0)


def test_a_tuple_of_sizes_is_two_states():
    # `keras.layers.RNN` takes it on TensorFlow and torch; on JAX structures must match.
    layer = Resettable(TwoStates(4, tuple), return_state=True)
    _, first, second = layer(INPUTS)
    assert tuple(first.shape) == (BATCH, 4) and tuple(second.shape) == (BATCH, 5)
    np.testing.assert_array_equal(to_numpy(second)[0], TIME)


def test_a_cell_may_read_arrays():
    class Pixels(Cell):
        def build(self, inputs_shape):
            super().build((None, inputs_shape[-1]))

        def call(self, inputs, states):
            return super().call(ops.mean(inputs, axis=1), states)

    pixels = RNG.normal(size=(BATCH, TIME, 6, FEATURES)).astype("float32")
    cell = Pixels(4)
    layer = Resettable(cell)
    close(layer(pixels), keras.layers.RNN(cell, return_sequences=True)(pixels))
    assert layer.compute_output_shape(pixels.shape) == (BATCH, TIME, 4)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ("mixed_bfloat16", "bfloat16", "mixed_float16"))
def test_a_cell_keeps_its_policy_and_computes_in_float32(policy):
    # Keras' orthogonal initializer knows no bfloat16 on torch.
    gru = keras.layers.GRUCell(4, recurrent_initializer="glorot_uniform", dtype=policy)
    for cell in (gru, Layers(4, dtype=policy)):
        layer, twice = Resettable(cell, return_state=True), Resettable(cell)
        before = cell.dtype_policy
        outputs, state = layer(INPUTS)
        assert cell.dtype_policy is before and cell.compute_dtype in policy
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        close(twice(INPUTS), outputs)
        exact = Resettable(type(cell)(4), return_state=True)
        exact.build(INPUTS.shape)
        exact.set_weights(layer.get_weights())
        close([outputs, state], exact(INPUTS))
    rnn = keras.layers.RNN(gru, dtype=policy)
    assert keras.backend.standardize_dtype(rnn(INPUTS).dtype) in policy


@pytest.mark.skipif(BACKEND != "jax", reason="The state of a seed is lost in a loop on JAX alone.")
def test_the_seeds_of_dropout_inside_a_cell_advance():
    cell = Layers(4)
    layer = Resettable(cell)
    layer(INPUTS)
    before = to_numpy(cell.drop.seed_generator.state)[0]
    layer(INPUTS, training=True)
    assert (to_numpy(cell.drop.seed_generator.state)[0] != before).any()
