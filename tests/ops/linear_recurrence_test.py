import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_s5rl.ops import linear_recurrence
from tests.differentiate import BACKEND, compiled, gradients

IMPLEMENTATIONS = ("associative", "sequential")
CASES = list(itertools.product(IMPLEMENTATIONS, (False, True), (False, True), (False, True)))
NAMES = "implementation, reverse, varying, compile"


def loop(decay, inputs, initial_state, resets, mask, reverse=False):
    """The definition, one batch entry and one step at a time, in complex128."""
    batch, time, _, features = inputs.shape
    u = inputs[:, :, 0] + 1j * inputs[:, :, 1]
    states = np.zeros((batch, time, features), complex)
    for b in range(batch):
        x = initial_state[b, 0] + 1j * initial_state[b, 1]
        for t in reversed(range(time)) if reverse else range(time):
            a = decay if decay.ndim == 2 else decay[b, t]
            before = t + 1 if reverse else t
            if before < time and resets[b, before]:
                x = np.zeros(features, complex)
            if mask[b, t]:
                x = (a[0] + 1j * a[1]) * x + u[b, t]
            states[b, t] = x
    return np.stack([states.real, states.imag], axis=2)


def problem(time=7, varying=False, batch=2, features=3, seed=0):
    generator = np.random.default_rng(seed)
    shape = (batch, time, 2, features)
    return {
        "decay": generator.uniform(-0.9, 0.9, shape if varying else (2, features)),
        "inputs": generator.normal(size=shape),
        "initial_state": generator.normal(size=(batch, 2, features)),
        "resets": generator.random((batch, time)) < 0.25,
        "mask": generator.random((batch, time)) < 0.75,
    }


def solve(case, **kwargs):
    floats = {k: v.astype("float32") for k, v in case.items() if v.dtype != bool}
    flags = {k: v for k, v in case.items() if v.dtype == bool}
    states = linear_recurrence(**floats, **flags, **kwargs)
    return keras.ops.convert_to_numpy(states)


def finite_differences(function, arguments):
    """Central differences in float64."""
    results = []
    for index, argument in enumerate(arguments):
        result = np.zeros_like(argument)
        for place in np.ndindex(argument.shape):
            moved = [a.copy() for a in arguments]
            moved[index][place] += 1e-6
            above = function(*moved)
            moved[index][place] -= 2e-6
            result[place] = (above - function(*moved)) / 2e-6
        results.append(result)
    return results


@pytest.mark.parametrize(NAMES, CASES)
def test_states_are_those_of_a_complex128_loop(implementation, reverse, varying, compile):
    case = problem(varying=varying)
    flags = {"resets": case["resets"], "mask": case["mask"]}

    def run(decay, inputs, initial_state):
        return linear_recurrence(
            decay, inputs, initial_state, **flags, reverse=reverse, implementation=implementation
        )

    floats = [
        keras.ops.convert_to_tensor(case[name].astype("float32"))
        for name in ("decay", "inputs", "initial_state")
    ]
    states = (compiled(run) if compile else run)(*floats)
    expected = loop(**case, reverse=reverse)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(states), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(NAMES, CASES)
def test_gradients_are_those_of_finite_differences(implementation, reverse, varying, compile):
    case = problem(time=5, varying=varying, features=2)
    flags = {"resets": case["resets"], "mask": case["mask"]}
    arguments = [case["decay"], case["inputs"], case["initial_state"]]
    weights = np.random.default_rng(1).normal(size=case["inputs"].shape)
    weights_tensor = keras.ops.convert_to_tensor(weights.astype("float32"))

    def loss(decay, inputs, initial_state):
        states = linear_recurrence(
            decay, inputs, initial_state, **flags, reverse=reverse, implementation=implementation
        )
        return keras.ops.sum(states**3 * weights_tensor)

    def expected_loss(decay, inputs, initial_state):
        return np.sum(loop(decay, inputs, initial_state, **flags, reverse=reverse) ** 3 * weights)

    found = gradients(loss, [a.astype("float32") for a in arguments], compile)
    for result, expected in zip(found, finite_differences(expected_loss, arguments), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("varying", (False, True))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_without_flags_or_initial_state_nothing_is_cleared_or_held(implementation, varying):
    case = problem(varying=varying)
    never, always = np.zeros((2, 7), bool), np.ones((2, 7), bool)
    expected = loop(case["decay"], case["inputs"], np.zeros((2, 2, 3)), never, always)
    case = {"decay": case["decay"], "inputs": case["inputs"]}
    states = solve(case, implementation=implementation)
    np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-5)

    arguments = [case["decay"], case["inputs"]]
    found = gradients(
        lambda a, u: keras.ops.sum(linear_recurrence(a, u, implementation=implementation) ** 2),
        [a.astype("float32") for a in arguments],
    )
    differences = finite_differences(
        lambda a, u: np.sum(loop(a, u, np.zeros((2, 2, 3)), never, always) ** 2), arguments
    )
    for result, wanted in zip(found, differences, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("time", (0, 1, 2, 3, 4, 6, 9))
def test_every_length_gives_the_states_of_the_loop(time, implementation, reverse):
    for varying in (False, True):
        case = problem(time, varying, seed=time)
        states = solve(case, implementation=implementation, reverse=reverse)
        expected = loop(**case, reverse=reverse)
        np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("time", (0, 1))
def test_gradients_are_exact_without_steps_and_with_one(time):
    case = problem(time, seed=3)
    case["mask"][:] = True
    case["resets"][:] = np.array([[True], [False]])
    arguments = [case["decay"], case["inputs"], case["initial_state"]]
    flags = {"resets": case["resets"], "mask": case["mask"]}
    found = gradients(
        lambda *a: (
            keras.ops.sum(linear_recurrence(*a, **flags) ** 2) + 0 * sum(map(keras.ops.sum, a))
        ),
        [a.astype("float32") for a in arguments],
    )
    expected = finite_differences(lambda *a: np.sum(loop(*a, **flags) ** 2), arguments)
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", (np.nan, np.inf))
@pytest.mark.parametrize("varying", (False, True))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_nothing_that_is_not_finite_crosses_a_reset(implementation, varying, bad):
    case = problem(8, varying, seed=2)
    case["mask"][:] = True
    case["resets"][:] = False
    case["resets"][:, [0, 5]] = True
    clean = loop(**case)
    case["initial_state"][:] = bad
    case["inputs"][:, 3] = bad
    states = solve(case, implementation=implementation)
    np.testing.assert_allclose(states[:, :3], clean[:, :3], rtol=1e-5, atol=1e-5)
    assert not np.isfinite(states[:, 3:5]).any()
    np.testing.assert_allclose(states[:, 5:], clean[:, 5:], rtol=1e-5, atol=1e-5)

    def loss(decay, inputs, initial_state):
        states = linear_recurrence(
            decay, inputs, initial_state, case["resets"], implementation=implementation
        )
        return keras.ops.sum(keras.ops.where(keras.ops.isfinite(states), states, 0.0))

    floats = [case[name].astype("float32") for name in ("decay", "inputs", "initial_state")]
    _, for_inputs, for_initial_state = gradients(loss, floats)
    assert np.isfinite(for_inputs).all()
    np.testing.assert_array_equal(for_initial_state, 0.0)


def test_one_step_forgets_a_state_that_is_not_finite():
    case = problem(1)
    case["mask"][:] = case["resets"][:] = True
    case["initial_state"][:] = np.nan
    np.testing.assert_array_equal(solve(case), case["inputs"].astype("float32"))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_masked_input_is_not_taken_in_even_if_it_is_not_finite(implementation):
    case = problem(6, seed=4)
    case["mask"][:] = True
    case["mask"][:, 2] = False
    clean = loop(**case)
    case["inputs"][:, 2] = np.nan
    states = solve(case, implementation=implementation)
    np.testing.assert_allclose(states, clean, rtol=1e-5, atol=1e-5)


def test_a_masked_step_with_a_reset_clears_the_state_and_takes_nothing_in():
    case = problem(4, batch=1)
    case["resets"][:] = [[False, False, True, False]]
    case["mask"][:] = [[True, True, False, False]]
    states = solve(case)
    assert np.abs(states[:, 1]).min() > 0
    np.testing.assert_array_equal(states[:, 2:], 0.0)


def test_running_backwards_cuts_episodes_at_the_same_places():
    case = problem(6, batch=1, seed=5)
    case["mask"][:] = True
    case["resets"][:] = [[False, False, True, False, False, False]]
    whole = solve(case, reverse=True)
    first = {**case, **{k: case[k][:, :2] for k in ("inputs", "resets", "mask")}}
    first["initial_state"] = np.zeros_like(case["initial_state"])
    np.testing.assert_allclose(whole[:, :2], solve(first, reverse=True), rtol=1e-6)


@settings(max_examples=15)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31), st.sampled_from(IMPLEMENTATIONS)
)
def test_one_sequence_with_a_reset_is_its_two_pieces(before, after, seed, implementation):
    case = problem(before + after, seed=seed)
    case["resets"][:, before] = True
    whole = solve(case, implementation=implementation)
    pieces = []
    for piece in (slice(None, before), slice(before, None)):
        part = {**case, **{k: case[k][:, piece] for k in ("inputs", "resets", "mask")}}
        if piece.start:
            part["initial_state"] = np.zeros_like(case["initial_state"])
            part["resets"] = part["resets"].copy()
            part["resets"][:, 0] = False
        pieces.append(solve(part, implementation=implementation))
    np.testing.assert_allclose(whole, np.concatenate(pieces, axis=1), rtol=1e-5, atol=1e-5)


def test_the_state_does_not_saturate_when_the_inputs_are_bfloat16():
    steps = 2000
    inputs = keras.ops.ones((1, steps, 2, 1), dtype="bfloat16")
    decay = np.array([[0.999], [0.0]], "float32")
    states = linear_recurrence(decay, inputs, implementation="sequential")
    assert keras.backend.standardize_dtype(states.dtype) == "float32"
    last = float(states[0, -1, 0, 0])
    np.testing.assert_allclose(last, (1 - 0.999**steps) / 0.001, rtol=1e-4)  # 256 in bfloat16


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Only TensorFlow has symbolic shapes.")
def test_batch_and_time_may_be_symbolic():
    import tensorflow as tf

    case = problem(5)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 2, 3), tf.float32),
            tf.TensorSpec((None, None), tf.bool),
        ]
    )
    def run(inputs, resets):
        decay = tf.constant(case["decay"], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states = linear_recurrence(decay, inputs, resets=resets)
        return states, tape.gradient(states, inputs)

    case["initial_state"][:] = 0.0
    case["mask"][:] = True
    states, gradient = run(case["inputs"].astype("float32"), case["resets"])
    np.testing.assert_allclose(states, loop(**case), rtol=1e-5, atol=1e-5)
    assert gradient.shape == states.shape
    with pytest.raises(ValueError, match="static number of time steps"):
        tf.function(
            lambda inputs: linear_recurrence(case["decay"], inputs, implementation="associative"),
            input_signature=[tf.TensorSpec((None, None, 2, 3), tf.float32)],
        ).get_concrete_function()


@pytest.mark.skipif(
    BACKEND != "torch", reason="Only torch keeps graphs in reference-counted objects."
)
def test_the_graph_is_freed_with_its_last_reference():
    weight = keras.ops.ones((1, 2, 1)).requires_grad_()
    initial_state = weight * 2.0
    reference = weakref.ref(initial_state)
    states = linear_recurrence(np.zeros((2, 1)), np.zeros((1, 3, 2, 1)), initial_state)
    gc.disable()
    try:
        del initial_state, states
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"decay": np.zeros((3, 2))}, "`decay` should have shape"),
        ({"decay": np.zeros((2,))}, "`decay` should have shape"),
        ({"inputs": np.zeros((2, 7, 3))}, "`inputs` should have shape"),
        ({"inputs": np.zeros((2, 7, 2, 3), complex)}, "`inputs` should be real"),
        ({"initial_state": np.zeros((1, 2, 3))}, "`initial_state` should have shape"),
        ({"resets": np.zeros((7, 2), bool)}, "`resets` should have shape"),
        ({"mask": np.zeros((2, 6), bool)}, "`mask` should have shape"),
        ({"implementation": "fast"}, "`implementation` should be one of"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        linear_recurrence(**{**problem(), **wrong})
