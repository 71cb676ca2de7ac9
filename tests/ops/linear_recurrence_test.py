import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_s5rl.ops import linear_recurrence
from tests.ops.recurrences import (
    CASES,
    COMPILE,
    IMPLEMENTATIONS,
    NAMES,
    finite_differences,
    loop,
    problem,
    solve,
)
from tests.support.differentiate import BACKEND, compiled, gradients


@pytest.mark.slow_after(8)
@pytest.mark.parametrize(NAMES, CASES)
def test_states_are_those_of_a_double_precision_loop(
    implementation, reverse, varying, compile, planes
):
    case = problem(time=5, varying=varying, planes=planes, features=2)
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


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("varying, planes", [(False, 2), (True, 2), (False, 1)])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_without_flags_or_initial_state_nothing_is_cleared_or_held(implementation, varying, planes):
    case = problem(varying=varying, planes=planes)
    never, always = np.zeros((2, 7), bool), np.ones((2, 7), bool)
    zeros = np.zeros((2, planes, 3))
    expected = loop(case["decay"], case["inputs"], zeros, never, always)
    case = {"decay": case["decay"], "inputs": case["inputs"]}
    states = solve(case, implementation=implementation)
    np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-5)

    arguments = [case["decay"], case["inputs"]]
    found = gradients(
        lambda a, u: keras.ops.sum(linear_recurrence(a, u, implementation=implementation) ** 2),
        [a.astype("float32") for a in arguments],
        COMPILE,
    )
    differences = finite_differences(
        lambda a, u: np.sum(loop(a, u, zeros, never, always) ** 2), arguments
    )
    for result, wanted in zip(found, differences, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.slow_after(6)
@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("time", (0, 1, 2, 3, 4, 6, 9))
def test_every_length_gives_the_states_of_the_loop(time, implementation, reverse):
    for varying, planes in [(False, 2), (True, 1), (True, 2), (False, 1)][: 2 if time > 2 else 4]:
        case = problem(time, varying, planes, seed=time)
        states = solve(case, implementation=implementation, reverse=reverse)
        expected = loop(**case, reverse=reverse)
        np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_masked_input_is_not_taken_in_even_if_it_is_not_finite(implementation):
    case = problem(6, seed=4)
    case["mask"][:] = True
    case["mask"][:, 2] = False
    clean = loop(**case)
    case["inputs"][:, 2] = np.nan
    states = solve(case, implementation=implementation)
    np.testing.assert_allclose(states, clean, rtol=1e-5, atol=1e-5)


@pytest.mark.portable
def test_a_masked_step_with_a_reset_clears_the_state_and_takes_nothing_in():
    case = problem(4, batch=1)
    case["resets"][:] = [[False, False, True, False]]
    case["mask"][:] = [[True, True, False, False]]
    states = solve(case)
    assert np.abs(states[:, 1]).min() > 0
    np.testing.assert_array_equal(states[:, 2:], 0.0)


@pytest.mark.portable
def test_running_backwards_cuts_episodes_at_the_same_places():
    case = problem(6, batch=1, seed=5)
    case["mask"][:] = True
    case["resets"][:] = [[False, False, True, False, False, False]]
    whole = solve(case, reverse=True)
    first = {**case, **{k: case[k][:, :2] for k in ("inputs", "resets", "mask")}}
    first["initial_state"] = np.zeros_like(case["initial_state"])
    np.testing.assert_allclose(whole[:, :2], solve(first, reverse=True), rtol=1e-6)


@settings(max_examples=12)
@given(
    st.integers(1, 5),
    st.integers(0, 2**31),
    st.sampled_from(IMPLEMENTATIONS),
    st.sampled_from((1, 2)),
)
def test_one_sequence_with_a_reset_is_its_two_pieces(before, seed, implementation, planes):
    case = problem(6, planes=planes, seed=seed)
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


@pytest.mark.portable
@pytest.mark.skipif(BACKEND != "tensorflow", reason="Only TensorFlow has symbolic shapes.")
@pytest.mark.parametrize("planes", (1, 2))
def test_batch_and_time_may_be_symbolic(planes):
    import tensorflow as tf

    case = problem(5, varying=True, planes=planes)
    sequence = tf.TensorSpec((None, None, planes, 3), tf.float32)

    @tf.function(input_signature=[sequence, sequence, tf.TensorSpec((None, None), tf.bool)])
    def run(decay, inputs, resets):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states = linear_recurrence(decay, inputs, resets=resets)
        return states, tape.gradient(states, inputs)

    case["initial_state"][:] = 0.0
    case["mask"][:] = True
    floats = [case[name].astype("float32") for name in ("decay", "inputs")]
    states, gradient = run(*floats, case["resets"])
    np.testing.assert_allclose(states, loop(**case), rtol=1e-5, atol=1e-5)
    assert gradient.shape == states.shape
    with pytest.raises(ValueError, match="static number of time steps"):
        tf.function(
            lambda inputs: linear_recurrence(inputs, inputs, implementation="associative"),
            input_signature=[sequence],
        ).get_concrete_function()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' Variable and numpy 2
@pytest.mark.parametrize("planes", (1, 2))
def test_it_is_a_node_of_a_functional_model(planes, tmp_path):
    case = problem(planes=planes)
    arrays = {k: v if v.dtype == bool else v.astype("float32") for k, v in case.items()}
    decay = arrays.pop("decay")
    symbols = {
        name: keras.Input(
            (None, *array.shape[2:]) if array.shape[1] == 7 else array.shape[1:],
            dtype=str(array.dtype),
            name=name,
        )
        for name, array in arrays.items()
    }
    for reverse in (False, True):
        states = linear_recurrence(decay, **symbols, reverse=reverse, implementation="sequential")
        assert states.shape == (None, None, planes, 3) and states.dtype == "float32"
        keras.Model(symbols, states).save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
        expected = loop(**case, reverse=reverse)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(model(arrays)), expected, rtol=1e-5, atol=1e-5
        )
    with pytest.raises(ValueError, match="(?s)`decay` should have shape.*Received"):
        linear_recurrence(decay[:, :2], symbols["inputs"])
    with pytest.raises(ValueError, match="(?s)`implementation` should be one of.*Received"):
        linear_recurrence(decay, symbols["inputs"], implementation="fast")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"decay": np.zeros((3, 2))}, "`decay` should have shape"),
        ({"decay": np.zeros((2,))}, "`decay` should have shape"),
        ({"decay": np.zeros((1, 3))}, "`decay` should have shape"),
        ({"inputs": np.zeros((2, 7, 3))}, "`inputs` should have shape"),
        ({"inputs": np.zeros((2, 7, 3, 3))}, "`inputs` should have shape"),
        ({"inputs": np.zeros((2, 7, 1, 3))}, "`decay` should have shape"),
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
