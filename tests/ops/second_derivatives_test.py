"""Every gradient that is written out can be differentiated again, and agrees with differences."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.ops import linear_recurrence, scale
from tests.ops.recurrences import COMPILE, IMPLEMENTATIONS, finite_differences, loop, problem
from tests.support.differentiate import BACKEND, second_differences, second_gradients


def recurrence_case(time, varying, planes, reverse):
    case = problem(time=time, varying=varying, planes=planes, features=2)
    flags = {"resets": case["resets"], "mask": case["mask"], "reverse": reverse}
    arguments = [case["decay"], case["inputs"], case["initial_state"]]
    generator = np.random.default_rng(1)
    directions = [generator.normal(size=argument.shape) for argument in arguments]
    return arguments, directions, flags, generator.normal(size=case["inputs"].shape)


def as_float32(arrays):
    return [array.astype("float32") for array in arrays]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("time", (1, 5))
@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("varying, planes", [(False, 2), (True, 2), (True, 1)])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_second_gradients_of_the_recurrence_are_those_of_the_loop(
    implementation, varying, planes, reverse, time
):
    arguments, directions, flags, weights = recurrence_case(time, varying, planes, reverse)
    weights_tensor = ops.convert_to_tensor(weights.astype("float32"))

    def loss(*arguments):
        states = linear_recurrence(*arguments, **flags, implementation=implementation)
        return ops.sum(states**3 * weights_tensor)

    def gradients_of_loop(*arguments):
        return finite_differences(lambda *a: np.sum(loop(*a, **flags) ** 3 * weights), arguments)

    found = second_gradients(loss, as_float32(arguments), as_float32(directions), COMPILE)
    step = 1e-4
    above = gradients_of_loop(*[a + step * d for a, d in zip(arguments, directions, strict=True)])
    below = gradients_of_loop(*[a - step * d for a, d in zip(arguments, directions, strict=True)])
    for result, a, b in zip(found, above, below, strict=True):
        expected = (a - b) / (2 * step)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(result, expected, atol=1e-4 * scale)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="Only JAX has the kernels.")
@pytest.mark.parametrize("varying, planes", [(False, 2), (True, 1)])
def test_second_gradients_of_the_gpu_kernels_are_those_of_the_loop(varying, planes):
    arguments, directions, flags, weights = recurrence_case(4, varying, planes, False)

    def second(implementation):
        def loss(*arguments):
            states = linear_recurrence(*arguments, **flags, implementation=implementation)
            return ops.sum(states**3 * weights.astype("float32"))

        return second_gradients(loss, as_float32(arguments), as_float32(directions), True)

    for found, expected in zip(second("pallas_interpreted"), second("sequential"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def of_scale(inputs, factors):
    return scale(inputs, factors)


def of_normalization(inputs, factors):
    layer = RowNormalization(epsilon=1e-3)
    layer.build(inputs.shape)
    gamma, beta = layer.trainable_variables
    state = [(gamma, 1.0 + factors), (beta, factors**2)]
    with keras.StatelessScope(state_mapping=state):
        return layer(inputs)


def of_product(inputs, factors):
    kernel = ops.tile(factors[:, None], (1, 160)) * ops.cos(ops.arange(160, dtype="float32"))
    return backend.product(inputs, kernel)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("function", (of_scale, of_normalization, of_product))
def test_second_gradients_of_the_other_operations_are_those_of_differences(function):
    generator = np.random.default_rng(0)
    features = 160 if function is of_product else 6
    arguments = [generator.normal(size=shape) for shape in ((4, features), (features,))]
    directions = [generator.normal(size=argument.shape) for argument in arguments]
    arguments, directions = as_float32(arguments), as_float32(directions)

    def loss(inputs, factors):
        return ops.mean(ops.sin(function(inputs, factors) / features**0.5))

    found = second_gradients(loss, arguments, directions, COMPILE)
    expected = second_differences(loss, arguments, directions)
    for result, wanted in zip(found, expected, strict=True):
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(result, wanted, atol=1e-2 * np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="Only JAX has products of their own.")
def test_second_gradients_of_a_half_precision_product_are_those_of_a_plain_one():
    import jax.numpy as jnp

    generator = np.random.default_rng(0)
    shapes = ((32, 160), (160, 144))
    arguments, directions = (
        [generator.normal(size=shape).astype("float32") for shape in shapes] for _ in range(2)
    )

    def loss_of(product):
        return lambda rows, kernel: ops.mean(ops.sin(product(rows.astype("bfloat16"), kernel)))

    def plain(rows, kernel):
        kernel = kernel.astype("bfloat16").astype("float32")
        return jnp.matmul(rows.astype("float32"), kernel, precision="highest")

    found = second_gradients(loss_of(backend.product), arguments, directions, True)
    expected = second_gradients(loss_of(plain), arguments, directions, True)
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=4e-2 * np.abs(wanted).max())
