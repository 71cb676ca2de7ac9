"""`FFM` and `SHM` beside their equations."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import FFM, SHM
from tests.layers.equations import check_equations
from tests.support.differentiate import compiled

FEATURES, UNITS = 3, 2
KINDS = {
    "FFM": lambda **k: FFM(UNITS, memory_size=2, context_size=2, return_state=True, **k),
    "SHM": lambda **k: SHM(UNITS, memory_size=3, return_state=True, **k),
}


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalise(x, gamma, beta, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) + beta


def ffm_step(weights, inputs, states, lengths):
    kernel, bias, alpha, omega, mixing_kernel, mixing_bias, gamma, beta = weights
    m, c = len(alpha), len(omega)
    ends = [m, 2 * m, 2 * m + UNITS]
    value, gate, output_gate, added = np.split(inputs @ kernel + bias, ends, axis=-1)
    real, imaginary = states[0].reshape(len(inputs), 2, m, c).swapaxes(0, 1)
    decay = np.exp(-np.abs(alpha))[:, None] * np.exp(1j * omega)
    traces = decay * (real + 1j * imaginary) + (value * sigmoid(gate))[..., None]
    state = np.stack([traces.real, traces.imag], axis=1).reshape(states[0].shape)
    z = normalise(state.reshape(len(inputs), -1) @ mixing_kernel + mixing_bias, gamma, beta, 1e-5)
    return z * sigmoid(output_gate) + added * (1 - sigmoid(output_gate)), [state]


def shm_step(weights, inputs, states, lengths):
    kernel, bias, theta, output_kernel, output_bias, gamma, beta = weights
    projected = inputs @ kernel + bias
    n = len(theta)
    key, value, query, calibration = np.split(projected[:, : 4 * n], 4, axis=-1)
    memory = states[0].copy()
    for b in range(len(inputs)):
        kept = 1 - np.tanh(np.outer(calibration[b], theta)) ** 2
        written = sigmoid(projected[b, -1]) * np.outer(key[b], value[b])
        memory[b] = kept * memory[b] + written
    read = np.einsum("bij,bi->bj", memory, query)
    return normalise(read, gamma, beta, 1.0) @ output_kernel + output_bias, [memory]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("implementation", ("sequential", "associative"))
@pytest.mark.parametrize(("name", "step"), [("FFM", ffm_step), ("SHM", shm_step)])
def test_outputs_states_and_gradients_are_those_of_the_equations(name, step, implementation):
    layer = KINDS[name](
        zero_output_for_mask=True,
        go_backwards=implementation == "associative",
        implementation=implementation,
        seed=0,
    )
    # Two features are normalised to almost a sign where they are close together.
    check_equations(layer, step, FEATURES, tolerance=1e-4 if name == "FFM" else 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_thousand_steps_stay_finite_and_add_at_most_one_input_each(name):
    layer = KINDS[name](seed=0)
    layer.build((None, None, FEATURES))
    inputs = 3 * np.random.default_rng(0).normal(size=(1, 1000, FEATURES)).astype("float32")
    run = compiled(lambda inputs: layer(inputs))
    outputs, state = map(to_numpy, run(keras.ops.convert_to_tensor(inputs)))
    assert np.isfinite(outputs).all()
    once = max(np.abs(to_numpy(layer(inputs[:, t : t + 1])[1])).max() for t in range(0, 1000, 50))
    assert np.abs(state).max() < 1000 * 3 * once


@pytest.mark.parametrize("name", KINDS)
def test_an_input_that_is_not_finite_does_not_outlive_its_episode(name):
    layer = KINDS[name](seed=0)
    layer.build((None, None, FEATURES))
    inputs = np.random.default_rng(0).normal(size=(1, 5, FEATURES)).astype("float32")
    broken = np.where(np.arange(5)[:, None] == 1, np.nan, inputs).astype("float32")
    resets = np.array([[False, False, False, True, False]])
    run = compiled(lambda inputs: layer(inputs, resets=resets)[0])
    clean, found = (to_numpy(run(keras.ops.convert_to_tensor(u))) for u in (inputs, broken))
    assert np.isnan(found[0, 1:3]).all()
    np.testing.assert_array_equal(found[0, 3:], clean[0, 3:])


def test_traces_of_ffm_last_and_turn_from_two_steps_to_the_longest_period():
    layer = FFM(UNITS, memory_size=5, context_size=3, max_period=32.0)
    layer.build((None, None, FEATURES))
    alpha, omega = to_numpy(layer.alpha), to_numpy(layer.omega)
    np.testing.assert_allclose(np.exp(-alpha * [32, 16, 8, 4, 2]), 0.01, rtol=1e-4)
    np.testing.assert_allclose(2 * np.pi / omega, [32, 8, 2], rtol=1e-5)


def test_theta_of_shm_is_spread_by_its_logarithm():
    layer = SHM(UNITS, memory_size=500, seed=0)
    layer.build((None, None, FEATURES))
    theta = to_numpy(layer.theta)
    assert 0.03 <= theta.min() < 0.035 and 0.45 < theta.max() <= 0.5
    assert abs(np.mean(theta < np.sqrt(0.03 * 0.5)) - 0.5) < 0.1
