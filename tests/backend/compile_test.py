import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from tests.support.differentiate import BACKEND, gradients


def tensors(*shape):
    values = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    return {"a": ops.convert_to_tensor(values[0]), "b": [ops.convert_to_tensor(values[1])]}


def combine(structure, shift):
    product = structure["a"] * structure["b"][0]
    return {"sum": ops.sum(product) + shift}, (product, None)


def test_a_compiled_function_takes_and_returns_structures_of_any_shape():
    program = backend.compile(combine)
    for shape in ((3,), (2, 5)):
        structure, shift = tensors(*shape), ops.convert_to_tensor(1.0)
        sums, (product, nothing) = program(structure, shift)
        expected = ops.convert_to_numpy(structure["a"]) * ops.convert_to_numpy(structure["b"][0])
        np.testing.assert_allclose(ops.convert_to_numpy(product), expected, rtol=1e-6)
        np.testing.assert_allclose(float(sums["sum"]), expected.sum() + 1, rtol=1e-5)
        assert nothing is None


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs eagerly.")
def test_equal_shapes_share_a_program_and_shapes_are_numbers_in_it():
    shapes = []

    def double(x):
        shapes.append(ops.shape(x))
        return 2 * x

    program = backend.compile(double)
    for shape in ((3,), (3,), (4,), (4,), (5,), (3,)):
        program(ops.ones(shape))
    assert [tuple(shape) for shape in shapes] == [(3,), (4,), (5,)]


def test_a_compiled_function_can_be_differentiated():
    program = backend.compile(lambda x, y: ops.sum(ops.square(x) * y))
    x, y = np.array([1.0, -2.0], "float32"), np.array([3.0, 0.5], "float32")
    for_x, for_y = gradients(program, [x, y])
    np.testing.assert_allclose(for_x, 2 * x * y, rtol=1e-6)
    np.testing.assert_allclose(for_y, x**2, rtol=1e-6)


def test_arguments_may_be_donated():
    program = backend.compile(lambda state, x: (state + x, x), donate_argnums=(0,))
    state, x = ops.zeros((4,)), ops.ones((4,))
    for _ in range(3):
        state, x = program(state, x)
    np.testing.assert_array_equal(ops.convert_to_numpy(state), 3.0)
