import keras
import numpy as np
import pytest

from keras_s5rl.ops import rowwise


@pytest.mark.parametrize("leading", [(3,), (3, 2), (3, 2, 4), (0, 2)])
def test_rows_go_through_the_function_one_by_one(leading):
    inputs = np.random.default_rng(0).normal(size=(*leading, 5)).astype("float32")
    kernel = np.random.default_rng(1).normal(size=(5, 2)).astype("float32")

    def product(rows):
        assert len(rows.shape) == 2
        return keras.ops.matmul(rows, kernel)

    outputs = keras.ops.convert_to_numpy(rowwise(product, keras.ops.convert_to_tensor(inputs)))
    np.testing.assert_allclose(outputs, inputs @ kernel, rtol=1e-5, atol=1e-6)
