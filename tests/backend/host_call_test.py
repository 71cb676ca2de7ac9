import threading

import numpy as np
import pytest
from keras import KerasTensor, ops

from keras_s5rl import backend
from tests.support.differentiate import BACKEND

LIKE = {"sum": KerasTensor((3,), "float32"), "words": [KerasTensor((3, 2), "int32")]}


def on_host(values, numbers):
    """numpy alone: words are the bits of a float64, which no backend computes by itself."""
    assert type(values) is np.ndarray and values.dtype == "float32" and numbers.dtype == "int32"
    words = np.sin(values.astype("float64")).view("int32").reshape(3, 2)
    return {"sum": (values + numbers).astype("float32"), "words": [words]}


def call(values, numbers):
    return backend.host_call(on_host, LIKE, values, numbers)


VALUES, NUMBERS = np.array([0.5, -1.0, 2.0], "float32"), np.array([1, 2, 3], "int32")


@pytest.mark.parametrize("compile", (False, True))
def test_a_structure_comes_back_bit_for_bit(compile):
    program = backend.compile(call) if compile else call
    result = program(ops.convert_to_tensor(VALUES), ops.convert_to_tensor(NUMBERS))
    expected = on_host(VALUES, NUMBERS)
    np.testing.assert_array_equal(ops.convert_to_numpy(result["sum"]), expected["sum"])
    words = ops.convert_to_numpy(result["words"][0])
    assert words.dtype == "int32"
    np.testing.assert_array_equal(words, expected["words"][0])


@pytest.mark.parametrize("compile", (False, True))
def test_one_array_comes_back_in_its_structure(compile):
    like = [KerasTensor((3,), "float32")]

    def call(values):
        return backend.host_call(lambda array: [2 * array], like, values)

    (doubled,) = (backend.compile(call) if compile else call)(ops.convert_to_tensor(VALUES))
    np.testing.assert_array_equal(ops.convert_to_numpy(doubled), 2 * VALUES)


def test_it_is_called_in_every_step_of_a_compiled_loop_and_in_chosen_branches_only():
    seen, threads = [], set()

    def host(x):
        seen.append(float(x))
        threads.add(threading.get_ident())
        return np.asarray(2 * x, "float32")

    like = KerasTensor((), "float32")

    def step(x, _):
        doubled = backend.cond(x < 5.0, lambda: backend.host_call(host, like, x), lambda: x + 1.0)
        return doubled, doubled

    program = backend.compile(lambda x: backend.scan(step, x, None, length=5))
    last, history = program(ops.convert_to_tensor(1.0))
    assert float(last) == 10.0
    np.testing.assert_array_equal(ops.convert_to_numpy(history), [2, 4, 8, 9, 10])
    # A backend may call it more than once for one step.
    assert sorted(set(seen)) == [1.0, 2.0, 4.0]


@pytest.mark.skipif(BACKEND != "jax", reason="Only JAX maps programs.")
def test_under_vmap_it_is_called_for_one_after_the_other():
    def call(values):
        return ops.vectorized_map(
            lambda values: backend.host_call(on_host, LIKE, values, NUMBERS), values
        )

    values = np.stack([VALUES, VALUES + 1.0])
    result = backend.compile(call)(values)
    expected = [on_host(row, NUMBERS)["sum"] for row in values]
    np.testing.assert_array_equal(ops.convert_to_numpy(result["sum"]), expected)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Elsewhere every compiled program is alike.")
def test_a_function_that_calls_the_host_becomes_a_graph_and_so_does_what_calls_it():
    traced = []

    def function(values, numbers):
        traced.append("function")
        return call(values, numbers)["sum"]

    def caller(values, numbers):
        traced.append("caller")
        return 2.0 * program(values, numbers)

    program = backend.compile(function)
    calling_program = backend.compile(caller)
    for _ in range(2):
        np.testing.assert_array_equal(calling_program(VALUES, NUMBERS), 2 * (VALUES + NUMBERS))
    # Each is tried as an XLA program; the function as a graph within that of its caller, too.
    assert traced == ["caller", "function", "function", "caller", "function"]
    np.testing.assert_array_equal(program(VALUES, NUMBERS), VALUES + NUMBERS)
