import keras
import numpy as np

from keras_s5rl.layers.row_normalization import RowNormalization


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


def test_statistics_are_float32_under_mixed_bfloat16():
    layer = RowNormalization(dtype="mixed_bfloat16")
    inputs = keras.ops.convert_to_tensor(1000.0 + np.arange(0, 64, 8)[None], dtype="bfloat16")
    outputs = layer(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32")))
    exact = keras.ops.convert_to_numpy(keras.ops.cast(inputs, "float32")).astype("float64")
    np.testing.assert_allclose(values, (exact - exact.mean()) / exact.std(), atol=1e-2)
