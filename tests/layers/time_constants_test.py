"""Time constants against the formula, and against a state that is left alone."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import LRU, S5, S5Stack
from keras_s5rl.layers.time_constants import time_constants


def built(layer):
    layer(np.zeros((1, 2, 4), "float32"))
    return layer


def test_they_are_those_of_the_eigenvalues_and_steps_of_each_layer():
    stack = built(S5Stack(2, 4, state_size=8, step_rescale=2.0, seed=0))
    found = time_constants(stack)
    assert len(found) == 2
    for (path, steps), block in zip(found, stack.blocks, strict=True):
        weights = {w.name: keras.ops.convert_to_numpy(w) for w in block.weights}
        expected = -1 / (weights["lambda_re"] * 2.0 * np.exp(weights["log_step"]))
        np.testing.assert_allclose(steps, expected, rtol=1e-3)
        assert path.startswith(block.path)
    assert not np.allclose(found[0][1], found[1][1])


@pytest.mark.parametrize(
    "layer", [S5(8, discretization="bilinear", dt_min=0.05, seed=0), LRU(4, r_min=0.8, seed=0)]
)
def test_a_state_falls_to_1_by_e_in_its_time_constant(layer):
    ((_, steps),) = time_constants(built(layer))
    state = np.zeros((1, 2, 4), "float32")
    state[:, 0] = 1
    sizes = []
    nothing, never = np.zeros((1, 4), "float32"), np.zeros(1, bool)
    for _ in range(100):
        _, state = layer.step(nothing, never, state)
        sizes.append(np.hypot(*np.asarray(keras.ops.convert_to_numpy(state))[0]))
    for index, step in enumerate(steps):
        times = np.arange(1, 101)
        np.testing.assert_allclose(
            np.interp(step, times, np.log(np.array(sizes)[:, index])), -1, atol=0.02
        )


def test_a_state_that_does_not_fall_has_an_infinite_one():
    layer = built(S5(4, seed=0))
    layer.lambda_re.assign([0.0, 0.5])
    assert time_constants(layer)[0][1].tolist() == [np.inf, np.inf]


def test_other_layers_have_none():
    assert time_constants(built(keras.layers.Dense(3))) == []
