import keras
import numpy as np
import pytest

from keras_s5rl.layers import Resettable

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 6, 3)).astype("float32")


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


@keras.saving.register_keras_serializable("tests")
class Counter(keras.layers.Layer):
    """A cell that counts steps from 10."""

    state_size = 1
    output_size = 1

    def call(self, inputs, states):
        count = states[0] + 1.0
        return count, [count]

    def get_initial_state(self, batch_size=None):
        return [10.0 * keras.ops.ones((batch_size, 1))]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "cell", (keras.layers.SimpleRNNCell, keras.layers.GRUCell, keras.layers.LSTMCell)
)
def test_without_resets_it_is_keras_rnn(cell):
    cell = cell(4)
    layer, rnn = (
        Resettable(cell, return_state=True),
        keras.layers.RNN(cell, return_sequences=True, return_state=True),
    )
    for found, expected in zip(layer(INPUTS), rnn(INPUTS), strict=True):
        np.testing.assert_allclose(to_numpy(found), to_numpy(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_stacked_cells_are_keras_stacked_cells():
    cells = [keras.layers.LSTMCell(4), keras.layers.GRUCell(5)]
    rnn = keras.layers.RNN(cells, return_sequences=True)
    found = Resettable(cells)(INPUTS)
    np.testing.assert_allclose(to_numpy(found), to_numpy(rnn(INPUTS)), rtol=1e-5, atol=1e-6)


def test_a_reset_restores_the_initial_state_of_the_cell():
    layer = Resettable(Counter(), return_state=True)
    resets = np.zeros((2, 6), bool)
    resets[0, [0, 3]] = True
    outputs, state = layer(INPUTS, resets=resets, initial_state=np.zeros((2, 1), "float32"))
    np.testing.assert_array_equal(to_numpy(outputs)[0, :, 0], [11, 12, 13, 11, 12, 13])
    np.testing.assert_array_equal(to_numpy(outputs)[1, :, 0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(to_numpy(state)[:, 0], [13, 6])


@pytest.mark.slow
def test_a_cell_under_a_mixed_policy_keeps_a_float32_state():
    cell = keras.layers.GRUCell(4, dtype="mixed_bfloat16")
    layer = Resettable(cell, return_state=True, dtype="mixed_bfloat16")
    outputs, state = layer(INPUTS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    exact = Resettable(keras.layers.GRUCell(4), return_state=True)
    exact.build(INPUTS.shape)
    exact.set_weights([to_numpy(weight) for weight in layer.weights])
    inputs = to_numpy(keras.ops.cast(INPUTS, "bfloat16"))
    np.testing.assert_allclose(to_numpy(state), to_numpy(exact(inputs)[1]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("where", ("dropout", "recurrent_dropout"))
def test_dropout_inside_a_cell_compiles_and_acts_in_training_alone(where):
    layer = Resettable(keras.layers.GRUCell(8, **{where: 0.5}, seed=1))
    without = to_numpy(layer(INPUTS))
    first, second = (to_numpy(layer(INPUTS, training=True)) for _ in range(2))
    assert np.abs(first - without).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3  # every call draws its own masks
    np.testing.assert_array_equal(to_numpy(layer(INPUTS)), without)
    model = keras.Sequential([keras.Input((6, 3)), layer])
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() != "torch")
    history = model.fit(INPUTS, np.zeros((2, 6, 8)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_step_scale_is_not_for_cells():
    with pytest.raises(
        ValueError, match="(?s)`step_scale` is for layers in continuous time.*Received"
    ):
        Resettable(keras.layers.GRUCell(4))(INPUTS, step_scale=np.ones((2, 6)))
