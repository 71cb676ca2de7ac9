"""Gradients of gradients through whole layers: what meta-learning and gradient penalties take."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.layers.every_layer import LAYERS
from tests.support.differentiate import COMPILE, second_differences, second_gradients


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_second_gradients_of_weights_and_inputs_are_those_of_differences(name):
    keras.utils.set_random_seed(0)
    layer = LAYERS[name]()
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, 5, 4)).astype("float32")
    resets = generator.random((2, 5)) < 0.3
    layer.build(inputs.shape)
    weights = [np.array(ops.convert_to_numpy(v)) for v in layer.trainable_variables]

    def loss(inputs, *weights):
        mapping = list(zip(layer.trainable_variables, weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            outputs = layer(inputs, resets=resets)
        return ops.mean(ops.square(ops.cast(outputs, "float32")))

    arguments = [inputs, *weights]
    directions = [generator.normal(size=a.shape).astype("float32") for a in arguments]
    size = sum(float(np.sum(d * d)) for d in directions) ** 0.5
    directions = [d / np.float32(size) for d in directions]
    found = second_gradients(loss, arguments, directions, COMPILE)
    # Larger ones cross a corner of the relu before a gate, or miss how a normalisation bends.
    expected = second_differences(loss, arguments, directions, size=3e-3)
    largest = max(np.abs(e).max() for e in expected)
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=2e-2 * largest)
