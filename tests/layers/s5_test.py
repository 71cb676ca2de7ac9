import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5
from tests.differentiate import BACKEND, compiled

RNG = np.random.default_rng(0)
BATCH, TIME, FEATURES = 2, 6, 3


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def reference(layer, inputs, state=None, resets=None, step_scale=None, backwards=False, half=0):
    """The equations of the layer, step by step in complex128. Returns states and `C x + D u`."""
    weight = {w.name: to_numpy(w).astype("float64") for w in layer.weights}
    eigenvalue = weight["lambda_re"] + 1j * weight["lambda_im"]
    if layer.clip_eigenvalues:
        eigenvalue = np.minimum(eigenvalue.real, -1e-4) + 1j * eigenvalue.imag
    B = weight["B"][0] + 1j * weight["B"][1]
    C = weight["C"][0] + 1j * weight["C"][1]
    C = C[:, half * len(eigenvalue) : (half + 1) * len(eigenvalue)]
    scale = 2.0 if layer.conjugate_symmetry else 1.0
    states = np.zeros((*inputs.shape[:2], len(eigenvalue)), complex)
    outputs = np.zeros(inputs.shape)
    for b in range(inputs.shape[0]):
        x = np.zeros(len(eigenvalue), complex) if state is None else state[b, 0] + 1j * state[b, 1]
        times = range(inputs.shape[1])
        for t in reversed(times) if backwards else times:
            step = layer.step_rescale * np.exp(weight["log_step"])
            if step_scale is not None:
                step = step * step_scale[b, t]
            if layer.discretization == "zoh":
                decay = np.exp(eigenvalue * step)
                gain = (decay - 1) / eigenvalue
            else:
                gain = step / (1 - step / 2 * eigenvalue)
                decay = (1 + step / 2 * eigenvalue) / (1 - step / 2 * eigenvalue)
            place = t + 1 if backwards else t
            if resets is not None and place < inputs.shape[1] and resets[b, place]:
                x = np.zeros_like(x)
            x = decay * x + gain * (B @ inputs[b, t])
            states[b, t] = x
            outputs[b, t] = scale * (C @ x).real
    return states, outputs, weight["D"] * inputs


def as_pair(states):
    return np.stack([states.real, states.imag], axis=-2)


def case():
    return {
        "inputs": RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32"),
        "initial_state": RNG.normal(size=(BATCH, 2, 4)).astype("float32"),
        "resets": RNG.random((BATCH, TIME)) < 0.3,
    }


@pytest.mark.parametrize("compile", (False, True))
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"discretization": "bilinear"},
        {"num_blocks": 2},
        {"conjugate_symmetry": False, "state_size": 4},
        {"step_rescale": 3.0},
        {"implementation": "associative"},
        {"implementation": "sequential"},
        {"go_backwards": True},
        {"c_init": "complex_normal"},
    ],
    ids=str,
)
def test_outputs_and_state_follow_the_equations(arguments, compile):
    layer = S5(**{"state_size": 8, "return_state": True, "seed": 0, **arguments})
    given = case()
    layer.build((None, None, FEATURES))

    def run(inputs, initial_state, resets):
        return layer(inputs, initial_state=initial_state, resets=resets)

    tensors = [keras.ops.convert_to_tensor(value) for value in given.values()]
    outputs, state = (compiled(run) if compile else run)(*tensors)
    backwards = layer.go_backwards
    states, read, direct = reference(
        layer, given["inputs"], given["initial_state"], given["resets"], backwards=backwards
    )
    expected = read + direct
    expected = expected[:, ::-1] if backwards else expected
    np.testing.assert_allclose(to_numpy(outputs), expected, rtol=1e-4, atol=1e-5)
    last = as_pair(states)[:, 0 if backwards else -1]
    np.testing.assert_allclose(to_numpy(state), last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("discretization", ("zoh", "bilinear"))
def test_step_scale_lengthens_each_step_of_time(discretization):
    layer = S5(state_size=8, discretization=discretization)
    given = case()
    step_scale = RNG.uniform(0.1, 5.0, (BATCH, TIME)).astype("float32")
    outputs = to_numpy(layer(**given, step_scale=step_scale))
    _, read, direct = reference(
        layer, given["inputs"], given["initial_state"], given["resets"], step_scale
    )
    np.testing.assert_allclose(outputs, read + direct, rtol=1e-4, atol=1e-5)
    ones = to_numpy(layer(**given, step_scale=np.ones((BATCH, TIME), "float32")))
    np.testing.assert_allclose(ones, to_numpy(layer(**given)), rtol=1e-5, atol=1e-5)


def test_bidirectional_reads_the_states_of_both_directions():
    layer = S5(state_size=8, bidirectional=True, return_state=True)
    given = case()
    backward_state = RNG.normal(size=(BATCH, 2, 4)).astype("float32")
    given["initial_state"] = [given["initial_state"], backward_state]
    outputs, forward, backward = layer(**given)
    assert layer.C.shape == (2, FEATURES, 8)
    inputs, resets = given["inputs"], given["resets"]
    states, read, direct = reference(layer, inputs, given["initial_state"][0], resets)
    back_states, back_read, _ = reference(
        layer, inputs, backward_state, resets, backwards=True, half=1
    )
    np.testing.assert_allclose(to_numpy(outputs), read + back_read + direct, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_numpy(forward), as_pair(states)[:, -1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_numpy(backward), as_pair(back_states)[:, 0], rtol=1e-4, atol=1e-5)
    zeros = layer.get_initial_state(BATCH)
    assert [tuple(state.shape) for state in zeros] == [(BATCH, 2, 4)] * 2
    with pytest.raises(ValueError, match="`step` needs the past alone"):
        layer.step(given["inputs"][:, 0], given["resets"][:, 0], zeros)


def test_clipped_eigenvalues_stay_left_of_the_imaginary_axis():
    given = case()
    for clip in (False, True):
        layer = S5(state_size=8, clip_eigenvalues=clip)
        layer.build((None, None, FEATURES))
        layer.lambda_re.assign(np.array([2.0, 1.0, -3.0, 0.0], "float32"))
        _, read, direct = reference(layer, given["inputs"], given["initial_state"], given["resets"])
        outputs = to_numpy(layer(**given))
        np.testing.assert_allclose(outputs, read + direct, rtol=1e-4, atol=1e-5)


def test_weights_have_the_shapes_and_names_of_the_s5_authors():
    layer = S5(state_size=8, dt_min=0.01, dt_max=0.02)
    layer.build((None, None, FEATURES))
    assert {weight.name: weight.shape for weight in layer.trainable_weights} == {
        "lambda_re": (4,),
        "lambda_im": (4,),
        "B": (2, 4, FEATURES),
        "C": (2, FEATURES, 4),
        "D": (FEATURES,),
        "log_step": (4,),
    }
    steps = np.exp(to_numpy(layer.log_step))
    assert steps.min() >= 0.01 - 1e-6 and steps.max() <= 0.02 + 1e-6


def test_one_seed_gives_one_set_of_weights_and_distinct_draws():
    def build(seed):
        layer = S5(state_size=8, seed=seed)
        layer.build((None, None, 4))
        return [to_numpy(weight) for weight in layer.weights]

    for first, again in zip(build(3), build(3), strict=True):
        np.testing.assert_array_equal(first, again)
    assert (build(3)[2] != build(4)[2]).all()


@pytest.mark.parametrize("bidirectional", (False, True))
def test_from_flax_takes_the_arrays_of_the_s5_authors(bidirectional):
    directions = 2 if bidirectional else 1
    params = {
        "Lambda_re": -RNG.uniform(0.1, 1.0, 4),
        "Lambda_im": RNG.normal(size=4),
        "B": RNG.normal(size=(4, FEATURES, 2)),
        "C": RNG.normal(size=(FEATURES, 4 * directions, 2)),
        "D": RNG.normal(size=FEATURES),
        "log_step": RNG.normal(size=(4, 1)) - 3,
    }
    layer = S5.from_flax(params, bidirectional=bidirectional)
    assert layer.state_size == 8
    inputs = case()["inputs"]
    step = np.exp(params["log_step"][:, 0])
    eigenvalue = params["Lambda_re"] + 1j * params["Lambda_im"]
    decay = np.exp(eigenvalue * step)
    B = ((decay - 1) / eigenvalue)[:, None] * (params["B"][..., 0] + 1j * params["B"][..., 1])
    C = params["C"][..., 0] + 1j * params["C"][..., 1]
    expected = params["D"] * inputs
    for half in range(directions):
        x = np.zeros((BATCH, 4), complex)
        for t in reversed(range(TIME)) if half else range(TIME):
            x = decay * x + inputs[:, t] @ B.T
            expected[:, t] += 2 * (x @ C[:, 4 * half : 4 * half + 4].T).real
    np.testing.assert_allclose(to_numpy(layer(inputs)), expected, rtol=1e-4, atol=1e-5)
    if bidirectional:
        halves = {"C1": params["C"][:, :4], "C2": params["C"][:, 4:]}
        rest = {name: value for name, value in params.items() if name != "C"}
        other = S5.from_flax({**rest, **halves}, bidirectional=True)
        np.testing.assert_array_equal(to_numpy(other.C), to_numpy(layer.C))
    del params["D"]
    with pytest.raises(ValueError, match="`params` should hold.*'D'.*Received"):
        S5.from_flax(params)


def test_only_the_products_follow_a_mixed_policy():
    steps = 2000
    layer = S5(state_size=2, return_state=True, dtype="mixed_bfloat16")
    layer.build((None, None, 1))
    # x = 0.999 x + 1, which stops at 256 in bfloat16
    layer.log_step.assign([0.0])
    layer.lambda_re.assign([np.log(0.999)])
    layer.lambda_im.assign([0.0])
    gain = (0.999 - 1) / np.log(0.999)
    layer.B.assign(np.array([1.0, 0.0]).reshape(2, 1, 1) / gain)
    layer.C.assign(np.array([0.5, 0.0]).reshape(2, 1, 1))
    layer.D.assign([0.0])
    outputs, state = layer(np.ones((1, steps, 1), "float32"))
    exact = (1 - 0.999**steps) / 0.001
    assert keras.backend.standardize_dtype(state.dtype) == "float32"
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_allclose(to_numpy(state)[0, 0, 0], exact, rtol=1e-3)
    np.testing.assert_allclose(to_numpy(outputs)[0, -1, 0], exact, rtol=1e-2)
    assert {weight.dtype for weight in layer.weights} == {"float32"}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"state_size": 7}, "`state_size`"),
        ({"state_size": 8, "num_blocks": 3}, "`state_size`"),
        ({"discretization": "euler"}, "`discretization`"),
        ({"c_init": "zeros"}, "`c_init`"),
        ({"implementation": "fast"}, "`implementation`"),
        ({"dt_min": 0.0}, "`dt_min` and `dt_max`"),
        ({"dt_min": 1.0, "dt_max": 0.1}, "`dt_min` and `dt_max`"),
        ({"step_rescale": 0.0}, "`step_rescale`"),
        ({"bidirectional": True, "stateful": True}, "`stateful`"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        S5(**wrong)


def test_keras_bidirectional_wraps_the_layer():
    inputs = case()["inputs"]
    wrapped = keras.layers.Bidirectional(S5(state_size=8, seed=0))
    outputs = to_numpy(wrapped(inputs))
    forward = to_numpy(wrapped.forward_layer(inputs))
    backward = to_numpy(wrapped.backward_layer(inputs))[:, ::-1]
    np.testing.assert_allclose(
        outputs, np.concatenate([forward, backward], axis=-1), rtol=1e-5, atol=1e-6
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Only TensorFlow has symbolic shapes.")
def test_a_model_over_sequences_of_any_length_trains_on_tensorflow():
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, S5(state_size=8)(inputs))
    for jit_compile in (False, True):
        model.compile("adam", "mse", jit_compile=jit_compile)
        for time in (3, 5):
            x = RNG.normal(size=(4, time, FEATURES)).astype("float32")
            history = model.fit(x, np.zeros_like(x), epochs=1, verbose=0)
            assert np.isfinite(history.history["loss"]).all()
