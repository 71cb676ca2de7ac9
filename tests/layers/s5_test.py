import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5
from tests.support.differentiate import BACKEND, compiled

RNG = np.random.default_rng(0)
BATCH, TIME, FEATURES = 2, 6, 3


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def reference(
    layer, inputs, state=None, resets=None, step_scale=None, mask=None, backwards=False, half=0
):
    """The equations of the layer, step by step in complex128. Returns states, `C x` and `D u`."""
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
            if mask is None or mask[b, t]:
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


@pytest.mark.slow_after(1)
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


def close(found, expected):
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "arguments",
    ({}, {"discretization": "bilinear", "go_backwards": True}, {"bidirectional": True}),
    ids=str,
)
def test_step_scale_lengthens_each_step_of_time(arguments):
    layer = S5(state_size=8, **arguments)
    given = {"inputs": case()["inputs"], "resets": case()["resets"]}
    step_scale = RNG.uniform(0.1, 5.0, (BATCH, TIME)).astype("float32")
    outputs = to_numpy(layer(**given, step_scale=step_scale))
    _, read, direct = reference(layer, **given, step_scale=step_scale, backwards=layer.go_backwards)
    if layer.bidirectional:
        read += reference(layer, **given, step_scale=step_scale, backwards=True, half=1)[1]
    expected = read + direct
    close(outputs, expected[:, ::-1] if layer.go_backwards else expected)
    ones = layer(**given, step_scale=np.ones((BATCH, TIME), "float32"))
    close(ones, to_numpy(layer(**given)))


@pytest.mark.slow
def test_bidirectional_reads_the_states_of_both_directions_with_resets_and_a_mask():
    layer = S5(state_size=8, bidirectional=True, return_state=True, zero_output_for_mask=True)
    given = case()
    backward_state = RNG.normal(size=(BATCH, 2, 4)).astype("float32")
    mask = np.array(
        [[True, False, True, True, False, True], [False, True, True, False, True, True]]
    )
    resets = np.array([[False, True, False, True, True, False], [True] + [False] * 5])
    start = [given["initial_state"], backward_state]
    outputs, forward, backward = layer(given["inputs"], start, resets, mask=mask)
    assert layer.C.shape == (2, FEATURES, 8)
    known = {"inputs": given["inputs"], "resets": resets, "mask": mask}
    states, read, direct = reference(layer, **known, state=start[0])
    back_states, back_read, _ = reference(layer, **known, state=start[1], backwards=True, half=1)
    close(outputs, np.where(mask[..., None], read + back_read + direct, 0.0))
    close(forward, as_pair(states)[:, -1])
    close(backward, as_pair(back_states)[:, 0])
    zeros = layer.get_initial_state(BATCH)
    assert [tuple(state.shape) for state in zeros] == [(BATCH, 2, 4)] * 2
    with pytest.raises(ValueError, match="`step` and `stateful=True` need the past alone"):
        layer.step(given["inputs"][:, 0], resets[:, 0], zeros)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("go_backwards", (False, True))
@pytest.mark.parametrize("bidirectional", (False, True))
def test_the_last_output_alone_is_read_out_of_the_last_state_alone(bidirectional, go_backwards):
    layer = S5(state_size=8, bidirectional=bidirectional, go_backwards=go_backwards)
    inputs, resets = case()["inputs"], case()["resets"]
    expected = to_numpy(layer(inputs, resets=resets))[:, -1]
    layer.return_sequences = False
    ranks, read_out = [], layer._read_out
    layer._read_out = lambda results, inputs, derived: (
        ranks.append(inputs.ndim),
        read_out(results, inputs, derived),
    )[1]
    close(layer(inputs, resets=resets), expected)
    assert ranks == [2]


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


@pytest.mark.slow
def test_regularizers_and_constraints_see_the_pairs_and_act_in_training():
    arguments = {
        "b_regularizer": keras.regularizers.L2(0.5),
        "c_regularizer": "l1",
        "d_regularizer": keras.regularizers.L1(2.0),
        "b_constraint": keras.constraints.MaxNorm(0.1, axis=0),
        "c_constraint": "non_neg",
        "d_constraint": keras.constraints.UnitNorm(axis=0),
    }
    layer = S5(state_size=8, seed=0, **arguments)
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer])
    B, C, D = (to_numpy(weight).astype("float64") for weight in (layer.B, layer.C, layer.D))
    expected = 0.5 * (B**2).sum() + 0.01 * np.abs(C).sum() + 2 * np.abs(D).sum()
    np.testing.assert_allclose(to_numpy(sum(layer.losses)), expected, rtol=1e-5)
    model.compile("sgd", "mse")
    model.fit(case()["inputs"], np.zeros((BATCH, TIME, FEATURES)), verbose=0)
    assert np.linalg.norm(to_numpy(layer.B), axis=0).max() < 0.1001
    assert to_numpy(layer.C).min() >= 0
    np.testing.assert_allclose(np.linalg.norm(to_numpy(layer.D)), 1.0, rtol=1e-5)
    again = S5.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert isinstance(again.b_constraint, keras.constraints.MaxNorm)


@pytest.mark.slow
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
        ({"dt_min": 0.0}, "`dt_min`"),
        ({"dt_min": 1.0, "dt_max": 0.1}, "`dt_max`.*`dt_min`"),
        ({"step_rescale": 0.0}, "`step_rescale`"),
        ({"bidirectional": True, "stateful": True}, "`stateful=True`"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        S5(**wrong)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("merge_mode", ("concat", "sum", "mul", "ave", None))
def test_keras_bidirectional_is_two_layers(merge_mode):
    inputs = case()["inputs"]
    mask = RNG.random((BATCH, TIME)) < 0.6
    wrapped = keras.layers.Bidirectional(S5(state_size=8, return_state=True), merge_mode)
    *outputs, forward_state, backward_state = wrapped(inputs, mask=mask)
    halves, states = [], []
    for layer, backwards in ((wrapped.forward_layer, False), (wrapped.backward_layer, True)):
        layer_states, read, direct = reference(layer, inputs, mask=mask, backwards=backwards)
        halves.append(np.where(mask[..., None], read + direct, 0.0))  # Keras makes these zero
        states.append(as_pair(layer_states)[:, 0 if backwards else -1])
    merged = {
        "concat": [np.concatenate(halves, axis=-1)],
        "sum": [halves[0] + halves[1]],
        "mul": [halves[0] * halves[1]],
        "ave": [(halves[0] + halves[1]) / 2],
        None: halves,
    }
    found = [*outputs, forward_state, backward_state]
    for a, b in zip(found, [*merged[merge_mode], *states], strict=True):
        close(a, b)


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
