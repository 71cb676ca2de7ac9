import keras
import numpy as np
import pytest

from keras_s5rl import backend
from tests.support.differentiate import compiled, gradients

XS = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")


def decay(carry, x):
    carry = {"sum": 0.5 * carry["sum"] + x["in"], "count": carry["count"] + 1}
    return carry, (carry["sum"] ** 2, [carry["count"]])


def run(xs, start, reverse=False):
    carry = {"sum": start, "count": keras.ops.convert_to_tensor(0, dtype="int32")}
    return backend.scan(decay, carry, {"in": xs}, reverse=reverse)


def expected(reverse):
    total, squares, counts = np.ones(2, "float32"), np.zeros_like(XS), np.zeros(5, int)
    for number, t in enumerate(reversed(range(5)) if reverse else range(5)):
        total = 0.5 * total + XS[t]
        squares[t], counts[t] = total**2, number + 1
    return total, squares, counts


@pytest.mark.parametrize("compile", (False, True))
@pytest.mark.parametrize("reverse", (False, True))
def test_the_carry_goes_from_step_to_step_and_outputs_stay_in_place(reverse, compile):
    def call(xs, start):
        return run(xs, start, reverse)

    arguments = [keras.ops.convert_to_tensor(value) for value in (XS, np.ones(2, "float32"))]
    carry, (squares, [counts]) = (compiled(call) if compile else call)(*arguments)
    total, expected_squares, expected_counts = expected(reverse)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(carry["sum"]), total, rtol=1e-6)
    assert int(carry["count"]) == 5
    np.testing.assert_allclose(keras.ops.convert_to_numpy(squares), expected_squares, rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(counts), expected_counts)


@pytest.mark.portable
@pytest.mark.parametrize("compile", (False, True))
def test_gradients_flow_through_carry_and_outputs(compile):
    def loss(xs, start):
        carry, (squares, _) = run(xs, start)
        return keras.ops.sum(squares) + keras.ops.sum(carry["sum"])

    for_xs, for_start = gradients(loss, [XS, np.ones(2, "float32")], compile)
    totals, total = [], np.ones(2)
    for x in XS:
        total = 0.5 * total + x
        totals.append(total)
    carried = np.ones(2)
    for t in reversed(range(5)):
        carried = carried + 2 * totals[t]
        np.testing.assert_allclose(for_xs[t], carried, rtol=1e-5)
        carried = 0.5 * carried
    np.testing.assert_allclose(for_start, carried, rtol=1e-5)


def test_without_inputs_and_outputs_the_length_decides():
    def double(carry, x):
        assert x is None
        return 2.0 * carry, None

    def call(start):
        return backend.scan(double, start, None, length=3)[0]

    start = keras.ops.convert_to_tensor(1.0)
    assert float(call(start)) == 8.0
    assert float(compiled(call)(start)) == 8.0


@pytest.mark.portable
def test_cond_takes_the_branch_that_the_predicate_names():
    def call(x):
        return backend.cond(keras.ops.sum(x) > 0, lambda: {"a": x + 1.0}, lambda: {"a": x - 1.0})

    for value in (2.0, -2.0):
        x = keras.ops.convert_to_tensor([value])
        for function in (call, compiled(call)):
            assert float(function(x)["a"][0]) == value + np.sign(value)


def test_the_device_has_a_name_and_results_can_be_waited_for():
    assert backend.device_name().split(":")[0] in ("cpu", "gpu", "tpu")
    structure = {"a": keras.ops.ones(2), "b": [keras.ops.zeros(3)]}
    assert backend.wait_until_ready(structure)["a"] is not None


def add_up(carry, values, x, fixed):
    """The sum of products so far; the values themselves are counted beside it."""
    total = [carry[0] + values["a"] * x["by"], carry[1] + values["a"]]
    return total, {"a": total[0], "b": total[1] - values["b"]}


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("compile", (False, True))
@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("axis", (0, 1))
def test_a_scan_in_place_runs_along_either_axis(axis, reverse, compile):
    generator = np.random.default_rng(1)
    a, b, by = generator.normal(size=(3, 4, 5, 2)).astype("float32")  # time leads
    starts = generator.normal(size=(2, 5, 2)).astype("float32")
    wanted = {"a": np.zeros_like(a), "b": np.zeros_like(b)}
    total, count = starts
    for t in reversed(range(4)) if reverse else range(4):
        total, count = total + a[t] * by[t], count + a[t]
        wanted["a"][t], wanted["b"][t] = total, count - b[t]

    def run(a, b, by, starts):
        carry = [starts[0], starts[1]]
        return backend.scan_in_place(add_up, carry, {"a": a, "b": b}, {"by": by}, (), reverse, axis)

    moved = [np.swapaxes(array, 0, axis).copy() for array in (a, b, by)]
    arguments = [keras.ops.convert_to_tensor(array) for array in (*moved, starts)]
    carry, values = (compiled(run) if compile else run)(*arguments)
    for found, last in zip(carry, (total, count), strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), last, rtol=1e-5, atol=1e-6)
    for name, expected in wanted.items():
        found = np.swapaxes(keras.ops.convert_to_numpy(values[name]), 0, axis)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for argument, array in zip(arguments, (*moved, starts), strict=True):  # nobody's data changed
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(argument), array)


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Only JAX has a loop that writes in place."
)
@pytest.mark.parametrize("carries_what_is_overwritten", (False, True))
@pytest.mark.parametrize("axis", (0, 1))
def test_a_scan_in_place_is_one_kernel_that_copies_no_sequence(axis, carries_what_is_overwritten):
    import jax

    if jax.default_backend() != "cpu":
        pytest.skip("Only XLA's CPU compiler has kernels with loops.")
    shape = (64, 64, 2, 8)

    def run(values, start):
        def advance(state, value, x, fixed):
            new = 0.5 * state + value
            return value if carries_what_is_overwritten else new, new

        carry, values = backend.scan_in_place(advance, start, 2.0 * values, {}, axis=axis)
        return values

    arguments = [keras.ops.ones(shape), keras.ops.ones(shape[1:] if axis == 0 else (64, 2, 8))]
    program = jax.jit(run).lower(*arguments).compile().as_text()
    assert program.count('xla_cpu_small_call="true"') >= 1
    entry = program[program.index("ENTRY") :]
    assert " while(" not in entry and " call(" in entry
    assert "f32[64,64,2,8]{3,2,1,0} copy(" not in program
