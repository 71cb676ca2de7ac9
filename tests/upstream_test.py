"""Defects of Keras that the package works around; a strict xfail fails when one is mended.

Each has its reproducer in BUILD_NOTES.md. That the package does not suffer from them is tested at
its own code: `ops/linear_recurrence_test.py` and `backend/scan_test.py` (the scans and their
gradients, eager, compiled and with symbolic lengths), `layers/fit_test.py` (the same in models).
"""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

BACKEND = keras.config.backend()


def defect(backend=None, **kwargs):
    """A strict xfail on one backend, or on all of them."""
    here = backend in (None, BACKEND)
    xfail = pytest.mark.xfail(strict=True, **kwargs)
    skip = pytest.mark.skipif(not here, reason=f"A defect of the {backend} backend.")
    return lambda test: skip(xfail(test))


def add(left, right):
    return left + right


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="keras 3.15: serialize_keras_object imports TensorFlow.",
)
@pytest.mark.skipif(
    BACKEND == "tensorflow" or importlib.util.find_spec("tensorflow") is None,
    reason="TensorFlow is needed on its own backend, or is not there.",
)
def test_saving_a_model_does_not_import_tensorflow(tmp_path):
    program = (
        "import keras, sys\n"
        "keras.Sequential([keras.Input((1,))]).save(sys.argv[1])\n"
        "print('tensorflow' in sys.modules)\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    command = [sys.executable, "-c", program, str(tmp_path / "model.keras")]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert done.stdout.split()[-1] == b"False"


SMALL_CALL_OF_A_CONSTANT = """
import jax, jax.numpy as jnp, numpy as np
from jax.experimental.xla_metadata import set_xla_metadata

flags = np.arange(64 * 256).reshape(64, 256) % 7 == 0

def loop(values, flags):
    def step(i, state):
        total, values = state
        flag = jax.lax.dynamic_slice(flags, (i, 0), (1, 256))[0]
        total = jnp.where(flag, 0.0, total) + jax.lax.dynamic_slice(values, (i, 0), (1, 256))[0]
        return total, jax.lax.dynamic_update_slice(values, total[None], (i, 0))
    with set_xla_metadata(inlineable=None, xla_cpu_small_call=None):
        return jax.lax.fori_loop(0, 64, step, (jnp.zeros(256), values))[1]

def call(values):
    with set_xla_metadata(inlineable="false", xla_cpu_small_call="true"):
        return jax.jit(loop)(values, flags)

jax.jit(call)(np.ones((64, 256), "float32"))
"""


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True,
    raises=subprocess.CalledProcessError,
    reason="jaxlib 0.10.2: XLA's CPU compiler aborts on a constant operand of a small call.",
)
@pytest.mark.skipif(BACKEND != "jax", reason="A defect of XLA, by way of JAX.")
def test_a_small_call_of_xla_may_slice_a_constant():
    subprocess.run(
        [sys.executable, "-c", SMALL_CALL_OF_A_CONSTANT],
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
        check=True,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.xfail(
    strict=True, raises=TypeError, reason="keras 3.15: Variable.__array__ takes no `copy`."
)
def test_a_variable_becomes_an_array_by_numpy_2s_protocol():
    keras.Variable(np.ones(2)).__array__(copy=True)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="keras 3.15: StackedRNNCells.from_config takes `cells` out of its argument.",
)
def test_stacked_cells_leave_the_config_they_are_made_from_as_it_is():
    config = keras.layers.StackedRNNCells([keras.layers.GRUCell(2)]).get_config()
    keras.layers.StackedRNNCells.from_config(config)
    assert "cells" in config


def xla_error():
    """What TensorFlow raises where XLA cannot compile."""
    if BACKEND != "tensorflow":
        return None
    import tensorflow as tf

    return tf.errors.InvalidArgumentError


@defect(
    "tensorflow",
    raises=xla_error(),
    reason="keras 3.15: associative_scan puts both arms of a tf.cond with other shapes before XLA.",
)
def test_the_associative_scan_of_four_elements_compiles_under_xla():
    import tensorflow as tf

    scan = tf.function(lambda x: ops.associative_scan(add, x), jit_compile=True)
    np.testing.assert_allclose(scan(tf.ones((4,))), [1, 2, 3, 4])


@defect(
    "tensorflow",
    raises=ValueError,
    reason="keras 3.15: the output of associative_scan in a graph has no rank.",
)
def test_the_associative_scan_keeps_its_shape_in_a_graph():
    import tensorflow as tf

    scan = tf.function(lambda x: ops.associative_scan(add, x))
    outputs = scan.get_concrete_function(tf.TensorSpec((4, 2))).structured_outputs
    assert outputs.shape.as_list() == [4, 2]  # as_list raises ValueError without a rank


@defect(
    "tensorflow",
    raises=ValueError,
    reason="keras 3.15: an output of scan must have the shape of the carry.",
)
def test_the_outputs_of_a_scan_may_differ_from_its_carry_in_shape():
    carry, outputs = ops.scan(lambda c, x: (c + x, ops.stack([c, x])), ops.zeros(()), ops.ones(3))
    assert tuple(outputs.shape) == (3, 2)


@defect(
    "tensorflow",
    raises=xla_error(),
    reason="keras 3.15: scan does not give its loop the maximum of iterations.",
)
def test_the_gradient_of_a_scan_compiles_under_xla():
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total, _ = ops.scan(lambda c, v: (c + v, c + v), tf.zeros(()), x)
        return tape.gradient(total, x)

    np.testing.assert_allclose(gradient(tf.ones((3,))), 1.0)


@defect(
    "torch",
    raises=AssertionError,
    reason="keras 3.15: associative_scan gathers in a float32 buffer.",
)
@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_the_associative_scan_of_complex_numbers_is_right():
    import torch

    scanned = ops.associative_scan(add, torch.full((4,), 1j))
    np.testing.assert_allclose(scanned.numpy(), [1j, 2j, 3j, 4j])


@defect(
    "torch",
    raises=AssertionError,
    reason="keras 3.15: associative_scan gathers in a float32 buffer.",
)
def test_the_associative_scan_keeps_float64():
    import torch

    assert ops.associative_scan(add, torch.ones(4, dtype=torch.float64)).dtype == torch.float64


@defect(
    "torch",
    raises=RuntimeError,
    reason="keras 3.15: torch's split wants at least one part.",
)
def test_a_split_at_no_place_is_the_whole():
    (whole,) = ops.split(np.ones((2, 3), "float32"), [], axis=-1)
    assert whole.shape == (2, 3)


@defect(
    "torch",
    raises=TypeError,
    reason="keras 3.15: a custom gradient takes one upstream gradient.",
)
def test_a_custom_gradient_may_have_two_outputs():
    import torch

    @ops.custom_gradient
    def twice(x):
        return (x * 1, x * 2), lambda one, two: one + 2 * two

    x = torch.ones(2, requires_grad=True)
    one, two = twice(x)
    (one + two).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3.0)


@defect(
    "torch",
    raises=AssertionError,
    reason="keras 3.15: a draw is seeded with the sum of the seed and the number of draws.",
)
def test_neighbouring_seeds_give_streams_of_their_own():
    first, second = keras.random.SeedGenerator(1), keras.random.SeedGenerator(2)
    keras.random.normal((3,), seed=first)
    left, right = (keras.random.normal((3,), seed=seed) for seed in (first, second))
    assert not np.array_equal(ops.convert_to_numpy(left), ops.convert_to_numpy(right))


@defect(
    "tensorflow",
    raises=AssertionError,
    reason="keras 3.15: XLA draws other numbers from a seed than eager TensorFlow.",
)
def test_a_seed_gives_the_same_numbers_eagerly_and_compiled():
    import tensorflow as tf

    def draw():
        return keras.random.normal((2,), seed=7)

    np.testing.assert_allclose(tf.function(draw, jit_compile=True)(), draw(), rtol=1e-5)


@defect(
    raises=AssertionError,
    reason="keras 3.15: Adam squares a complex gradient, and moves along the wrong axis.",
)
@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_adam_moves_a_complex_weight_along_its_gradient():
    weight = keras.Variable(np.zeros(1, "complex64"), dtype="complex64")
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([weight])
    optimizer.apply([ops.convert_to_tensor(np.array([1j], "complex64"))], [weight])
    np.testing.assert_allclose(ops.convert_to_numpy(weight), [-0.1j], atol=1e-3)


@defect(
    "jax",
    raises=AssertionError,
    reason="keras 3.15: the states of a stateful RNN are not among its variables.",
)
def test_a_stateful_rnn_keeps_its_state_from_predict_to_predict():
    inputs = keras.Input(batch_shape=(1, 2, 1))
    model = keras.Model(inputs, keras.layers.LSTM(2, stateful=True)(inputs))
    first, second = (model.predict(np.ones((1, 2, 1)), verbose=0) for _ in range(2))
    assert not np.allclose(first, second)


@defect(
    "jax",
    raises=AssertionError,
    reason="keras 3.15: an integer and a Python number make a float32 under floatx bfloat16.",
)
def test_the_maximum_of_integers_is_an_integer_under_every_floatx():
    floatx = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        largest = ops.maximum(ops.arange(3, dtype="int32"), 0)
    finally:
        keras.config.set_floatx(floatx)
    assert keras.backend.standardize_dtype(largest.dtype) == "int32"


@defect("jax", raises=Exception, reason="keras 3.15: the loop's carry changes its structure.")
def test_an_rnn_takes_a_stack_of_one_lstm_cell():
    cell = keras.layers.StackedRNNCells([keras.layers.LSTMCell(2)])
    assert keras.layers.RNN(cell)(np.ones((1, 3, 2), "float32")).shape == (1, 2)


@defect("tensorflow", raises=Exception, reason="keras 3.15: a bias is added to a batch of 0.")
def test_an_lstm_takes_a_batch_of_no_sequences():
    assert keras.layers.LSTM(2)(np.ones((0, 3, 2), "float32")).shape == (0, 2)
