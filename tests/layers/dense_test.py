import keras
import numpy as np
import pytest

from keras_s5rl.layers.dense import Dense, run_side_by_side

INPUTS = np.random.default_rng(0).normal(size=(4, 3, 6)).astype("float32")


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "tanh"}])
def test_it_computes_what_the_layer_of_keras_does(options):
    ours, theirs = Dense(5, **options), keras.layers.Dense(5, **options)
    for layer in (ours, theirs):
        layer.build(INPUTS.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours(INPUTS)),
        keras.ops.convert_to_numpy(theirs(INPUTS)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_in_mixed_precision_only_the_product_is_rounded():
    layer = Dense(5, dtype="mixed_bfloat16", bias_initializer=keras.initializers.Constant(1e-3))
    # Bias and product together round differently than each by itself.
    outputs = keras.ops.convert_to_numpy(keras.ops.cast(layer(INPUTS), "float32"))
    half = [
        keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(x, "bfloat16"), "float32"))
        for x in (INPUTS, layer.kernel.value)
    ]
    exact = half[0].astype("float64") @ half[1] + 1e-3
    # Torch and TensorFlow round the product itself once more.
    steps = 1 if keras.backend.backend() == "jax" else 2
    np.testing.assert_allclose(outputs, exact, rtol=steps * 2.0**-8, atol=steps * 2e-3)
    assert keras.backend.standardize_dtype(layer(INPUTS).dtype) == "bfloat16"
    assert all(w.dtype == "float32" for w in layer.weights)


@pytest.mark.slow
def test_layers_side_by_side_give_what_each_gives_alone():
    layers = [Dense(units, activation="leaky_relu", bias_initializer="ones") for units in (5, 2, 7)]
    alone = [keras.ops.convert_to_numpy(layer(INPUTS)) for layer in layers]
    together = run_side_by_side(layers, keras.ops.convert_to_tensor(INPUTS))
    for found, wanted in zip(together, alone, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("features, units", [(6, 10), (128, 256)])  # one product, and two
@pytest.mark.parametrize("options", [{"bias_initializer": "random_normal"}, {"use_bias": False}])
def test_parts_are_those_of_the_outputs(options, features, units):
    inputs = np.random.default_rng(0).normal(size=(2, 3, features)).astype("float32")
    layer = Dense(units, activation="tanh", **options)
    whole = keras.ops.convert_to_numpy(layer(inputs))
    parts = layer.call_in_parts(keras.ops.convert_to_tensor(inputs), 2)
    for found, wanted in zip(parts, np.split(whole, 2, axis=-1), strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), wanted, rtol=1e-5, atol=1e-6)


def test_it_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((6,)), Dense(5, activation="relu")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is Dense
    np.testing.assert_array_equal(
        loaded.predict(INPUTS[0], verbose=0), model.predict(INPUTS[0], verbose=0)
    )
