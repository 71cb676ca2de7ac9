import keras
import numpy as np
import pytest

from keras_s5rl.layers import SelectiveSSM
from keras_s5rl.layers.initializers import SoftplusStep
from tests.layers.equations import check_equations
from tests.support.differentiate import compiled

WIDTH, STATES, RANK = 3, 2, 2


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def step(weights, inputs, states, lengths):
    """Algorithm 2 of the paper, state by state."""
    input_kernel, step_kernel, step_bias, a_log, d = weights
    (x,) = states
    x, outputs = x.copy(), np.zeros_like(inputs)
    for b, u in enumerate(inputs):
        projected = u @ input_kernel
        write, read = projected[RANK : RANK + STATES], projected[RANK + STATES :]
        delta = np.log1p(np.exp(projected[:RANK] @ step_kernel + step_bias)) * lengths[b]
        for h in range(WIDTH):
            for n in range(STATES):
                decay = np.exp(-delta[h] * np.exp(a_log[n, h]))
                x[b, n, h] = decay * x[b, n, h] + delta[h] * write[n] * u[h]
            outputs[b, h] = read @ x[b, :, h] + d[h] * u[h]
    return outputs, [x]


def make(**arguments):
    arguments = {"state_size": STATES, "dt_rank": RANK, "seed": 0, **arguments}
    return SelectiveSSM(WIDTH, return_state=True, **arguments)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("implementation", "backwards", "step_scale"),
    [("sequential", False, True), ("associative", True, False)],
)
def test_outputs_states_and_gradients_are_those_of_the_equations(
    implementation, backwards, step_scale
):
    layer = make(implementation=implementation, go_backwards=backwards, zero_output_for_mask=True)
    check_equations(layer, step, WIDTH, step_scale)


def test_initial_step_sizes_lie_between_the_bounds_and_decays_are_those_of_the_integers():
    layer = SelectiveSSM(400, 3, dt_min=0.01, dt_max=0.5, seed=0)
    layer.build((None, None, 400))
    sizes = np.log1p(np.exp(to_numpy(layer.step_bias).astype("float64")))
    assert 0.01 * (1 - 1e-5) <= sizes.min() < 0.011 and 0.45 < sizes.max() <= 0.5 * (1 + 1e-5)
    below = np.mean(sizes < np.sqrt(0.01 * 0.5))  # half of them: log-uniform
    assert abs(below - 0.5) < 0.1
    np.testing.assert_allclose(to_numpy(layer.A_log), np.log([[1], [2], [3]] * np.ones(400)), 1e-6)
    assert layer.step_kernel.shape == (25, 400)  # a sixteenth of the width
    np.testing.assert_allclose(to_numpy(layer.step_kernel).std(), 75**-0.5, rtol=0.03)
    bias = SoftplusStep(0.1, 0.1, seed=1)((1,))
    np.testing.assert_allclose(np.log1p(np.exp(to_numpy(bias))), 0.1, rtol=1e-5)


def test_a_thousand_large_inputs_leave_a_finite_state_that_forgets():
    layer = make()
    inputs = np.full((1, 1000, WIDTH), 100.0, "float32")
    outputs, state = compiled(lambda inputs: layer(inputs))(keras.ops.convert_to_tensor(inputs))
    assert np.isfinite(to_numpy(outputs)).all() and np.isfinite(to_numpy(state)).all()


def test_an_input_that_is_not_finite_does_not_outlive_its_episode():
    layer = make()
    layer.build((None, None, WIDTH))
    inputs = np.random.default_rng(0).normal(size=(1, 5, WIDTH)).astype("float32")
    broken = np.where(np.arange(5)[:, None] == 1, np.nan, inputs).astype("float32")
    resets = np.array([[False, False, False, True, False]])
    run = compiled(lambda inputs: layer(inputs, resets=resets)[0])
    clean, found = (to_numpy(run(keras.ops.convert_to_tensor(u))) for u in (inputs, broken))
    assert np.isnan(found[0, 1:3]).all()
    np.testing.assert_array_equal(found[0, 3:], clean[0, 3:])


def test_inputs_of_another_width_are_refused():
    with pytest.raises(ValueError, match="`width` features, 3.*Received: inputs.shape"):
        make()(np.ones((2, 3, 4), "float32"))
