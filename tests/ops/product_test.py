import keras
import numpy as np
import pytest

from keras_s5rl.ops import product
from tests.support.differentiate import compiled, gradients

GENERATOR = np.random.default_rng(0)


def rounded(array):
    """The values that bfloat16 holds, in double precision."""
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(array.astype("float32")), "bfloat16")
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")).astype("float64")


# A kernel of at least 128 on each side takes another way on XLA's CPU than a narrow one.
@pytest.mark.parametrize("features, units", [(5, 3), (128, 130)])
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_product_and_gradients_are_those_of_rounded_operands_in_double_precision(
    dtype, features, units
):
    inputs = GENERATOR.normal(size=(2, 7, features))
    kernel = GENERATOR.normal(size=(features, units))
    upstream = GENERATOR.normal(size=(2, 7, units))
    weights = keras.ops.convert_to_tensor(upstream.astype("float32"))

    def loss(inputs, kernel):
        outputs = product(keras.ops.cast(inputs, dtype), kernel)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        return keras.ops.sum(outputs * weights)

    def run(inputs, kernel):
        return product(keras.ops.cast(inputs, dtype), kernel)

    floats = [array.astype("float32") for array in (inputs, kernel)]
    found = compiled(run)(*[keras.ops.convert_to_tensor(array) for array in floats])
    for_inputs, for_kernel = gradients(loss, floats, compile=True)

    half = dtype == "bfloat16"
    if half:
        inputs, kernel, upstream = rounded(inputs), rounded(kernel), rounded(upstream)
    # Half-precision results of torch and TensorFlow are rounded before they are made float32.
    once = 1e-5 if not half or keras.backend.backend() == "jax" else 4e-3
    for result, wanted, tolerance in (
        (found, inputs @ kernel, once),
        (for_inputs, upstream @ kernel.T, 4e-3 if half else 1e-5),
        (for_kernel, np.einsum("btf,btu->fu", inputs, upstream), once),
    ):
        result = keras.ops.convert_to_numpy(result)
        np.testing.assert_allclose(
            result, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max()
        )


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Only JAX sets how operands of products lie."
)
def test_xla_takes_half_precision_operands_as_they_are():
    import jax

    if jax.default_backend() != "cpu":
        pytest.skip("What is asked of is XLA's CPU compiler.")
    rows = keras.ops.ones((64, 16), dtype="bfloat16")
    kernel = keras.ops.ones((8, 16))

    def loss(rows, kernel):
        return keras.ops.sum(keras.ops.square(product(rows, keras.ops.transpose(kernel))))

    text = jax.jit(jax.grad(loss, (0, 1))).lower(rows, kernel).compile().as_text()
    products = [line for line in text.splitlines() if " dot(" in line]
    assert len(products) == 3
    computations = text.split("\n\n")
    for line in products:
        (computation,) = [c for c in computations if line in c]
        assert computation.count("bf16[") >= 2, computation
