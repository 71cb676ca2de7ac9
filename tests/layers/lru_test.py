import keras
import numpy as np
import pytest

from keras_s5rl.layers.lru import LRU
from keras_s5rl.layers.ring_eigenvalues import RingEigenvalues
from tests.support.differentiate import compiled, gradients

BATCH, TIME, FEATURES, STATES = 2, 6, 3, 4
NAMES = ["nu_log", "theta_log", "gamma_log", "B", "C", "D"]
NUMBERS_OF_SEED_0 = {
    "nu_log": [-3.7899554, -1.9818560, -1.8324126],
    "theta_log": [1.6515170, 1.1994685, 1.7476509],
    "gamma_log": [-1.5596598, -0.7116793, -0.6475140],
}
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
START = RNG.normal(size=(BATCH, 2, STATES)).astype("float32")
RESETS = np.array([[False, False, True, False, False, True], [True] + [False] * 5])
MASK = np.array([[True, False, False, True, True, True], [True, True, False, True, True, False]])


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def reference(inputs, state, *weights, resets=RESETS, mask=None, reverse=False):
    """The equations of the layer, step by step in complex128; outputs at masked steps are NaN."""
    nu_log, theta_log, gamma_log, B, C, D = (np.asarray(w, "float64") for w in weights)
    decay = np.exp(-np.exp(nu_log) + 1j * np.exp(theta_log))
    B, C = B[0] + 1j * B[1], C[0] + 1j * C[1]
    outputs = np.full(inputs.shape, np.nan)
    final = np.zeros(state.shape)
    for b in range(len(inputs)):
        x = state[b, 0] + 1j * state[b, 1]
        for t in reversed(range(TIME)) if reverse else range(TIME):
            place = t + 1 if reverse else t
            if place < TIME and resets[b, place]:
                x = np.zeros(STATES)
            if mask is None or mask[b, t]:
                x = decay * x + np.exp(gamma_log) * (B @ inputs[b, t])
                outputs[b, t] = (C @ x).real + D * inputs[b, t]
        final[b] = np.stack([x.real, x.imag])
    return outputs, final


def build(**kwargs):
    layer = LRU(STATES, return_state=True, seed=1, **kwargs)
    layer.build(INPUTS.shape)
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
    expected, final = reference(
        INPUTS, START, *map(to_numpy, layer.weights), mask=MASK, reverse=reverse
    )
    outputs = to_numpy(outputs)[:, ::-1] if reverse else to_numpy(outputs)
    np.testing.assert_allclose(outputs[MASK], expected[MASK], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_numpy(state), final, rtol=1e-5, atol=1e-5)


def test_gradients_for_inputs_state_and_weights_are_exact():
    layer = build()
    weights = [to_numpy(weight) for weight in layer.weights]
    scale_outputs = RNG.normal(size=INPUTS.shape).astype("float32")
    scale_state = RNG.normal(size=START.shape).astype("float32")
    scales = [keras.ops.convert_to_tensor(scale) for scale in (scale_outputs, scale_state)]

    def loss(inputs, state, *values):
        with keras.StatelessScope(list(zip(layer.weights, values, strict=True))):
            outputs, state = layer(inputs, initial_state=state, resets=RESETS)
        return keras.ops.sum(outputs * scales[0]) + keras.ops.sum(state * scales[1])

    def expected_loss(*arguments):
        outputs, state = reference(*arguments)
        return np.sum(outputs * scale_outputs) + np.sum(state * scale_state)

    arguments = [INPUTS, START, *weights]
    found = gradients(loss, arguments, compile=True)
    arguments = [argument.astype("float64") for argument in arguments]
    for name, index in zip(["inputs", "state", *NAMES], range(len(arguments)), strict=True):
        expected = np.zeros_like(arguments[index])
        for place in np.ndindex(expected.shape):
            above, below = ([a.copy() for a in arguments] for _ in range(2))
            above[index][place] += 1e-6
            below[index][place] -= 1e-6
            expected[place] = (expected_loss(*above) - expected_loss(*below)) / 2e-6
        error = np.abs(found[index] - expected).max() / np.abs(expected).max()
        assert error < 1e-5, name


@pytest.mark.slow
def test_a_state_under_mixed_bfloat16_is_float32_and_does_not_saturate():
    steps = 600
    layer = LRU(1, return_state=True, dtype="mixed_bfloat16")
    layer.build((None, None, 1))
    # x = 0.999 x + 1, which stops at 256 in bfloat16
    layer.nu_log.assign([np.log(-np.log(0.999))])
    layer.theta_log.assign([-30.0])
    layer.gamma_log.assign([0.0])
    for weight, value in ((layer.B, 1.0), (layer.C, 0.5)):
        weight.assign(np.array([value, 0.0]).reshape(2, 1, 1))
    layer.D.assign([0.0])
    outputs, state = layer(np.ones((1, steps, 1), "float32"))
    exact = (1 - 0.999**steps) / 0.001
    assert keras.backend.standardize_dtype(state.dtype) == "float32"
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_allclose(to_numpy(state)[0, 0, 0], exact, rtol=1e-3)
    np.testing.assert_allclose(to_numpy(outputs)[0, -1, 0], exact / 2, rtol=1e-2)
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def test_weights_have_the_names_and_the_distribution_of_the_paper():
    layer = LRU(2000, r_min=0.5, r_max=0.9, max_phase=1.0, seed=0)
    layer.build((None, None, 20))
    assert [weight.name for weight in layer.weights] == NAMES
    shapes = [(2000,)] * 3 + [(2, 2000, 20), (2, 20, 2000), (20,)]
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == shapes
    nu_log, theta_log, gamma_log, B, C, _ = (to_numpy(w).astype("float64") for w in layer.weights)
    radius, phase = np.exp(-np.exp(nu_log)), np.exp(theta_log)
    assert radius.min() >= 0.5 - 1e-6 and radius.max() <= 0.9 + 1e-6
    assert phase.min() >= 0 and phase.max() <= 1.0 + 1e-6
    for share in ((radius**2 - 0.25) / (0.81 - 0.25), phase):  # uniform by area, and by angle
        counts, _ = np.histogram(share, bins=4, range=(0, 1))
        np.testing.assert_allclose(counts, 500, atol=80)
    assert abs(np.corrcoef(radius, phase)[0, 1]) < 0.1
    np.testing.assert_allclose(np.exp(gamma_log), np.sqrt(1 - radius**2), rtol=1e-5)
    np.testing.assert_allclose(B.std(axis=(1, 2)), 1 / np.sqrt(2 * 20), rtol=0.03)
    np.testing.assert_allclose(C.std(axis=(1, 2)), 1 / np.sqrt(2000), rtol=0.03)


@pytest.mark.parametrize("part", NUMBERS_OF_SEED_0)
def test_one_seed_gives_these_numbers_on_every_backend(part):
    initializer = RingEigenvalues(part, seed=0)
    again = RingEigenvalues.from_config(initializer.get_config())
    for draw in (initializer, again):
        np.testing.assert_allclose(to_numpy(draw((3,))), NUMBERS_OF_SEED_0[part], rtol=1e-6)


def test_the_config_holds_every_argument():
    config = {"r_min": 0.2, "r_max": 0.8, "max_phase": 1.0, "implementation": "sequential"}
    layer = build(**config)
    assert layer.get_config().items() >= {"state_size": STATES, "seed": 1, **config}.items()
    again = LRU.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(to_numpy(again(INPUTS)[0]), to_numpy(layer(INPUTS)[0]))
    assert keras.saving.get_registered_object("keras_s5rl>LRU") is LRU


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"state_size": 0}, "`state_size`"),
        ({"r_min": -0.1}, "`r_min`"),
        ({"r_min": 0.9, "r_max": 0.9}, "`r_max`.*`r_min`"),
        ({"r_max": 1.1}, "`r_max`"),
        ({"max_phase": 0.0}, "`max_phase`"),
        ({"implementation": "fast"}, "`implementation`"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        LRU(**wrong)
    with pytest.raises(ValueError, match="(?s)`part` should be one of.*Received"):
        RingEigenvalues("lambda")


def test_step_scale_is_not_for_a_recurrence_in_discrete_time():
    with pytest.raises(ValueError, match="(?s)`step_scale` is for layers in continuous.*Received"):
        build()(INPUTS, step_scale=np.ones((BATCH, TIME)))
