import keras
import numpy as np
import pytest

from keras_s5rl.layers.min_gru import MinGRU
from tests.support.differentiate import compiled, gradients

BATCH, TIME, FEATURES, UNITS = 2, 6, 3, 4
KERNEL_OF_SEED_0 = [0.1979977, 0.2534578, -0.0825304]
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
START = RNG.normal(size=(BATCH, UNITS)).astype("float32")
RESETS = np.array([[False, False, True, False, False, True], [True] + [False] * 5])
MASK = np.array([[True, False, False, True, True, True], [True, True, False, True, True, False]])


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def reference(inputs, state, kernel, bias, resets=RESETS, mask=None, reverse=False):
    """The equations of the layer, step by step in float64; outputs at masked steps are NaN."""
    outputs = np.full((*inputs.shape[:2], UNITS), np.nan)
    final = np.zeros(state.shape)
    for b in range(len(inputs)):
        h = state[b]
        for t in reversed(range(TIME)) if reverse else range(TIME):
            place = t + 1 if reverse else t
            if place < TIME and resets[b, place]:
                h = np.zeros(UNITS)
            if mask is None or mask[b, t]:
                u = np.asarray(inputs[b, t], "float64")
                z = 1 / (1 + np.exp(-(u @ kernel[:, :UNITS] + bias[:UNITS])))
                h = (1 - z) * h + z * (u @ kernel[:, UNITS:] + bias[UNITS:])
                outputs[b, t] = h
        final[b] = h
    return outputs, final


def build(**kwargs):
    layer = MinGRU(UNITS, return_state=True, seed=1, **kwargs)
    layer.build(INPUTS.shape)
    layer.bias.assign(np.linspace(-1.0, 1.0, 2 * UNITS))
    return layer


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "implementation, reverse, compile",
    [
        ("associative", False, True),
        ("associative", True, True),
        ("sequential", False, False),
        ("sequential", True, True),
    ],
)
def test_outputs_and_state_follow_the_equations(implementation, reverse, compile):
    layer = build(implementation=implementation, go_backwards=reverse)

    def run(inputs, state, resets, mask):
        return layer(inputs, initial_state=state, resets=resets, mask=mask)

    tensors = [keras.ops.convert_to_tensor(value) for value in (INPUTS, START, RESETS, MASK)]
    outputs, state = (compiled(run) if compile else run)(*tensors)
    weights = [to_numpy(weight).astype("float64") for weight in layer.weights]
    expected, final = reference(INPUTS, START, *weights, mask=MASK, reverse=reverse)
    outputs = to_numpy(outputs)[:, ::-1] if reverse else to_numpy(outputs)
    np.testing.assert_allclose(outputs[MASK], expected[MASK], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_numpy(state), final, rtol=1e-5, atol=1e-5)


def test_gradients_for_inputs_state_and_weights_are_exact():
    layer = build()
    scale_outputs = RNG.normal(size=(BATCH, TIME, UNITS)).astype("float32")
    scale_state = RNG.normal(size=START.shape).astype("float32")
    scales = [keras.ops.convert_to_tensor(scale) for scale in (scale_outputs, scale_state)]

    def loss(inputs, state, *values):
        with keras.StatelessScope(list(zip(layer.weights, values, strict=True))):
            outputs, state = layer(inputs, initial_state=state, resets=RESETS)
        return keras.ops.sum(outputs * scales[0]) + keras.ops.sum(state * scales[1])

    def expected_loss(*arguments):
        outputs, state = reference(*arguments)
        return np.sum(outputs * scale_outputs) + np.sum(state * scale_state)

    arguments = [INPUTS, START, *map(to_numpy, layer.weights)]
    found = gradients(loss, arguments, compile=True)
    arguments = [argument.astype("float64") for argument in arguments]
    for index, name in enumerate(["inputs", "state", "kernel", "bias"]):
        expected = np.zeros_like(arguments[index])
        for place in np.ndindex(expected.shape):
            above, below = ([a.copy() for a in arguments] for _ in range(2))
            above[index][place] += 1e-6
            below[index][place] -= 1e-6
            expected[place] = (expected_loss(*above) - expected_loss(*below)) / 2e-6
        error = np.abs(found[index] - expected).max() / np.abs(expected).max()
        assert error < 1e-5, name


@pytest.mark.parametrize("implementation", ("associative", "sequential"))
def test_an_input_that_is_not_finite_does_not_outlive_its_episode(implementation):
    """Here the decay of such a step is not finite either."""
    layer = build(implementation=implementation)
    inputs = INPUTS.copy()
    inputs[0, 1] = np.nan  # the next episode starts at step 2
    run = compiled(lambda inputs: layer(inputs, resets=RESETS)[0])
    clean, outputs = (to_numpy(run(keras.ops.convert_to_tensor(u))) for u in (INPUTS, inputs))
    assert np.isnan(outputs[0, 1]).all()
    np.testing.assert_array_equal(outputs[0, 2:], clean[0, 2:])


@pytest.mark.slow
def test_a_state_under_mixed_bfloat16_is_float32_and_does_not_saturate():
    steps = 600
    layer = MinGRU(1, return_state=True, dtype="mixed_bfloat16")
    layer.build((None, None, 1))
    # h = 0.999 h + 0.001 * 1000, which stops at 256 in bfloat16
    layer.kernel.assign([[0.0, 1000.0]])
    layer.bias.assign([np.log(0.001 / 0.999), 0.0])
    outputs, state = layer(np.ones((1, steps, 1), "float32"))
    exact = 1000 * (1 - 0.999**steps)
    assert keras.backend.standardize_dtype(state.dtype) == "float32"
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_allclose(to_numpy(state)[0, 0], exact, rtol=1e-3)
    np.testing.assert_allclose(to_numpy(outputs)[0, -1, 0], exact, rtol=1e-2)
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def test_the_weights_are_one_kernel_and_one_bias():
    layer = MinGRU(500, seed=0)
    layer.build((None, None, 20))
    weights = {weight.name: to_numpy(weight) for weight in layer.trainable_weights}
    assert {name: value.shape for name, value in weights.items()} == {
        "kernel": (20, 1000),
        "bias": (1000,),
    }
    np.testing.assert_allclose(weights["kernel"].std(), 1 / np.sqrt(20), rtol=0.03)
    np.testing.assert_array_equal(weights["bias"], 0.0)
    np.testing.assert_allclose(weights["kernel"][0, :3], KERNEL_OF_SEED_0, atol=1e-6)


def test_the_config_holds_every_argument():
    layer = MinGRU(UNITS, implementation="sequential", seed=1)
    expected = {"units": UNITS, "implementation": "sequential", "seed": 1}
    assert layer.get_config().items() >= expected.items()
    again = MinGRU.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(to_numpy(again(INPUTS)), to_numpy(layer(INPUTS)))
    assert keras.saving.get_registered_object("keras_s5rl>MinGRU") is MinGRU


@pytest.mark.parametrize(
    "wrong, message",
    [({"units": 0}, "`units`"), ({"units": 4, "implementation": "fast"}, "`implementation`")],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        MinGRU(**wrong)


def test_step_scale_is_not_for_a_recurrence_in_discrete_time():
    with pytest.raises(ValueError, match="(?s)`step_scale` is for layers in continuous.*Received"):
        build()(INPUTS, step_scale=np.ones((BATCH, TIME)))
