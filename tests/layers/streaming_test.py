"""A memory stepped for a very long time: it ends where the sequence ends, in constant memory."""

import contextlib
import gc
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s5rl import backend
from keras_s5rl.layers import S5, Resettable
from tests.support.differentiate import BACKEND, compiled

# Steps in one compiled loop, and steps called one at a time: torch compiles nothing, and a call of
# a TensorFlow function is slow.
STEPS = {"jax": 100_000, "tensorflow": 100_000, "torch": 4_000}[BACKEND]
CALLS = {"jax": 100_000, "tensorflow": 10_000, "torch": 4_000}[BACKEND]
LAYERS = {
    "S5": lambda: S5(state_size=8, return_state=True, seed=0),
    "GRU": lambda: Resettable(keras.layers.GRUCell(3), return_state=True),
}


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def without_gradients():
    """torch keeps the graph of all steps behind a state, unless gradients are off."""
    if BACKEND == "torch":
        import torch

        return torch.no_grad()
    return contextlib.nullcontext()


def run(function, *arrays):
    """Numpy arrays in, numpy arrays out, through one compiled program."""
    with without_gradients():
        results = compiled(function)(*map(keras.ops.convert_to_tensor, arrays))
    return [to_numpy(result) for result in results]


def stream(layer, inputs, resets, carried="float32"):
    """`step` in a loop over `(batch, time, features)`; between steps the state has a dtype."""

    def loop(inputs, resets):
        def advance(state, step):
            output, state = layer.step(*step, keras.ops.cast(state, "float32"))
            (state,) = keras.tree.flatten(state)
            return keras.ops.cast(state, carried), output

        (start,) = keras.tree.flatten(layer.get_initial_state(inputs.shape[0]))
        steps = keras.ops.swapaxes(inputs, 0, 1), keras.ops.transpose(resets)
        state, outputs = backend.scan(advance, keras.ops.cast(start, carried), steps)
        return keras.ops.swapaxes(outputs, 0, 1), state

    return run(loop, inputs, resets)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", LAYERS)
def test_very_many_steps_give_what_the_sequence_gives(name):
    keras.utils.set_random_seed(0)
    layer = LAYERS[name]()
    layer.build((None, None, 2))
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, STEPS, 2)).astype("float32")
    resets = generator.random((2, STEPS)) < 10 / STEPS
    assert resets.any(axis=1).all()
    found = stream(layer, inputs, resets)
    expected = run(lambda inputs, resets: layer(inputs, resets=resets), inputs, resets)
    for value, wanted in zip(found, expected, strict=True):
        assert value.shape == wanted.shape
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)


def test_a_slow_state_does_not_saturate_under_a_mixed_policy():
    layer = S5(state_size=2, return_state=True, dtype="mixed_bfloat16")
    layer.build((None, None, 1))
    decay, steps = 0.9999, min(STEPS, 10_000)
    gain = (decay - 1) / np.log(decay)
    for weight, value in (
        (layer.log_step, [0.0]),
        (layer.lambda_re, [np.log(decay)]),
        (layer.lambda_im, [0.0]),
        (layer.B, [[[1 / gain]], [[0.0]]]),
        (layer.C, [[[0.5]], [[0.0]]]),
        (layer.D, [0.0]),
    ):
        weight.assign(np.array(value, "float32"))
    inputs, resets = np.ones((1, steps, 1), "float32"), np.zeros((1, steps), bool)
    exact = (1 - decay ** np.arange(1, steps + 1)) / (1 - decay)

    outputs, state = stream(layer, inputs, resets)
    # decay is rounded to float32: 3e-8 of 1 - decay = 1e-4.
    np.testing.assert_allclose(state[0, 0, 0], exact[-1], rtol=1e-3)
    np.testing.assert_allclose(outputs[0, :, 0], exact, rtol=1e-2)
    _, rounded = stream(layer, inputs, resets, carried="bfloat16")
    assert rounded[0, 0, 0] == 256 < exact[-1] / 2  # 256 + 1 is 256 again


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Memory is read from /proc.")
def test_stepping_on_and_on_takes_no_more_memory():
    layer = LAYERS["S5"]()
    state = layer.get_initial_state(1)
    shape = tuple(state.shape)
    step = compiled(layer.step)
    inputs = keras.ops.ones((1, 2))
    reset = keras.ops.zeros((1,), dtype="bool")

    def resident_bytes():
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with without_gradients():
        for count in range(1, CALLS + 1):
            output, state = step(inputs, reset, state)
            if count == CALLS // 10:
                before = resident_bytes()
    assert np.isfinite(to_numpy(output)).all()
    assert tuple(state.shape) == shape
    # One state tensor kept in each step would take ten times as much, and more.
    assert resident_bytes() - before < 2**21
