import keras
import numpy as np
import pytest

from keras_s5rl.ops import scale
from tests.support.differentiate import compiled, gradients


@pytest.mark.parametrize("compile", (False, True))
@pytest.mark.parametrize("shape", [(6, 3), (2, 5, 3), (0, 3)])
def test_values_and_gradients_are_those_of_a_diagonal_matrix(shape, compile):
    generator = np.random.default_rng(0)
    inputs, upstream = generator.normal(size=(2, *shape))
    factors = generator.normal(size=3)
    weights = keras.ops.convert_to_tensor(upstream.astype("float32"))

    def loss(inputs, factors):
        return keras.ops.sum(scale(inputs, factors) * weights)

    floats = [array.astype("float32") for array in (inputs, factors)]
    run = compiled(scale) if compile else scale
    found = run(*[keras.ops.convert_to_tensor(array) for array in floats])
    for_inputs, for_factors = gradients(loss, floats, compile)
    for result, wanted in (
        (keras.ops.convert_to_numpy(found), inputs @ np.diag(factors)),
        (for_inputs, upstream @ np.diag(factors)),
        (for_factors, np.sum((inputs * upstream).reshape(-1, 3), axis=0)),
    ):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)
