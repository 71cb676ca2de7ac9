import keras
import numpy as np
import pytest

from keras_s5rl.layers.row_normalization import RowNormalization
from tests.support.differentiate import gradients


def test_values_and_weights_are_those_of_keras_layer_normalization():
    inputs = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 8)).astype("float32")
    ours, theirs = RowNormalization(epsilon=1e-5), keras.layers.LayerNormalization(epsilon=1e-5)
    ours.build((None, 8))
    theirs.build((None, 8))
    weights = [np.linspace(0.5, 2.0, 8), np.linspace(-1.0, 1.0, 8)]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours(inputs)),
        keras.ops.convert_to_numpy(theirs(inputs)),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("compile", (False, True))
@pytest.mark.parametrize("shape", [(5, 8), (3, 4, 8)])
def test_the_gradient_is_the_slope_of_the_equation(shape, compile):
    generator = np.random.default_rng(1)
    arrays = [
        generator.normal(3.0, 2.0, size=shape),
        generator.uniform(0.5, 2.0, size=8),
        generator.normal(size=8),
    ]
    weights = generator.normal(size=shape)
    tensor = keras.ops.convert_to_tensor(weights.astype("float32"))
    layer = RowNormalization(epsilon=0.1)
    layer.build(shape)

    def loss(inputs, gamma, beta):
        with keras.StatelessScope(state_mapping=[(layer.gamma, gamma), (layer.beta, beta)]):
            return keras.ops.sum(layer(inputs) * tensor)

    def exact(inputs, gamma, beta):
        mean = inputs.mean(-1, keepdims=True)
        return np.sum(
            (gamma * (inputs - mean) / np.sqrt(inputs.var(-1, keepdims=True) + 0.1) + beta)
            * weights
        )

    found = gradients(loss, [array.astype("float32") for array in arrays], compile)
    for number, result in enumerate(found):
        slope = np.zeros(arrays[number].shape)
        for at in np.ndindex(slope.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [array.copy() for array in arrays]
                moved[number][at] += step
                ends.append(exact(*moved))
            slope[at] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(result, slope, rtol=1e-4, atol=1e-4)


def test_statistics_are_float32_under_mixed_bfloat16():
    layer = RowNormalization(dtype="mixed_bfloat16")
    inputs = keras.ops.convert_to_tensor(1000.0 + np.arange(0, 64, 8)[None], dtype="bfloat16")
    outputs = layer(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32")))
    exact = keras.ops.convert_to_numpy(keras.ops.cast(inputs, "float32")).astype("float64")
    np.testing.assert_allclose(values, (exact - exact.mean()) / exact.std(), atol=1e-2)
