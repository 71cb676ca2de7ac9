import gc
import weakref

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
from tests.support.differentiate import BACKEND, gradients

# Of each two flags all combinations; `linear_recurrence_test.py` has those of all three.
HALF = [case for case in CASES if case[3] == (case[1] != case[2])]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(NAMES, HALF)
def test_gradients_are_those_of_finite_differences(
    implementation, reverse, varying, compile, planes
):
    case = problem(time=5, varying=varying, planes=planes, features=2)
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


@pytest.mark.slow
@settings(max_examples=6)
@given(
    st.sampled_from(IMPLEMENTATIONS),
    st.booleans(),
    st.booleans(),
    st.sampled_from((1, 2)),
    st.integers(0, 2**31),
)
def test_states_and_gradients_of_random_sequences_follow_the_loop(
    implementation, reverse, varying, planes, seed
):
    case = problem(8, varying, planes, batch=3, features=2, seed=seed)
    floats = [case[name] for name in ("decay", "inputs", "initial_state")]
    flags = {"resets": case["resets"], "mask": case["mask"], "reverse": reverse}
    weights = np.random.default_rng(seed).normal(size=case["inputs"].shape)
    weights_tensor = keras.ops.convert_to_tensor(weights.astype("float32"))

    def loss(*arguments):
        states = linear_recurrence(*arguments, **flags, implementation=implementation)
        return keras.ops.sum(keras.ops.sin(states) * weights_tensor)

    expected = finite_differences(lambda *a: np.sum(np.sin(loop(*a, **flags)) * weights), floats)
    found = gradients(loss, [a.astype("float32") for a in floats], COMPILE)
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))
    states = solve(case, reverse=reverse, implementation=implementation)
    np.testing.assert_allclose(states, loop(**case, reverse=reverse), rtol=1e-5, atol=1e-5)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("time, varying, planes", [(0, False, 2), (1, False, 2), (1, True, 1)])
def test_gradients_are_exact_without_steps_and_with_one(time, varying, planes):
    case = problem(time, varying, planes, batch=4, seed=3)
    case["mask"][:] = np.array([[True], [True], [False], [False]])
    case["resets"][:] = np.array([[True], [False], [True], [False]])
    arguments = [case["decay"], case["inputs"], case["initial_state"]]
    flags = {"resets": case["resets"], "mask": case["mask"]}
    found = gradients(
        lambda *a: (
            keras.ops.sum(linear_recurrence(*a, **flags) ** 2) + 0 * sum(map(keras.ops.sum, a))
        ),
        [a.astype("float32") for a in arguments],
        COMPILE,
    )
    expected = finite_differences(lambda *a: np.sum(loop(*a, **flags) ** 2), arguments)
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


def test_one_step_forgets_a_state_that_is_not_finite_and_so_does_its_gradient():
    case = problem(1)
    case["mask"][:] = case["resets"][:] = True
    case["initial_state"][:] = np.nan
    np.testing.assert_array_equal(solve(case), case["inputs"].astype("float32"))
    floats = [case[name].astype("float32") for name in ("decay", "inputs", "initial_state")]
    for_decay, _, for_initial_state = gradients(
        lambda *a: keras.ops.sum(linear_recurrence(*a, resets=case["resets"])), floats, COMPILE
    )
    np.testing.assert_array_equal(for_decay, 0.0)
    np.testing.assert_array_equal(for_initial_state, 0.0)


@pytest.mark.slow
@settings(max_examples=6)
@given(
    st.sampled_from(IMPLEMENTATIONS),
    st.booleans(),
    st.booleans(),
    st.sampled_from((1, 2)),
    st.sampled_from((np.nan, np.inf, -np.inf)),
    st.integers(0, 2**31),
)
def test_nothing_that_is_not_finite_crosses_a_reset(
    implementation, reverse, varying, planes, bad, seed
):
    batch, time = 8, 7  # each sequence has a cut of its own
    case = problem(time, varying, planes, batch, seed=seed)
    generator = np.random.default_rng(seed)
    cut = generator.integers(1, time, (batch, 1))
    step = np.arange(time)[None]
    case["resets"] |= step == cut
    before = step >= cut if reverse else step < cut
    upstream = generator.normal(size=case["inputs"].shape)
    floats = ("decay", "inputs", "initial_state")

    def run(case, upstream):
        def loss(*arguments):
            states = linear_recurrence(
                *arguments,
                case["resets"],
                case["mask"],
                reverse=reverse,
                implementation=implementation,
            )
            return keras.ops.sum(states * keras.ops.convert_to_tensor(upstream.astype("float32")))

        states = solve(case, reverse=reverse, implementation=implementation)
        return states, gradients(loss, [case[name].astype("float32") for name in floats], COMPILE)

    # In half of the sequences what is taken in before the cut is poisoned, and nothing there counts
    # in the loss; in the others the gradient that comes in after it.
    poisoned = np.arange(batch) < batch // 2
    forward = before & poisoned[:, None]
    upstream[forward] = 0.0
    clean_states, clean_gradients = run(case, upstream)
    case["mask"] |= forward
    case["inputs"][forward] = bad
    case["initial_state"][poisoned] = bad
    if varying:
        case["decay"][forward] = bad
        first_after = step == (cut - 1 if reverse else cut)  # where the decay meets the cut
        case["decay"][first_after & ~poisoned[:, None]] = bad
    upstream[~before & ~poisoned[:, None]] = bad
    states, (for_decay, for_inputs, for_initial_state) = run(case, upstream)

    np.testing.assert_allclose(states[~forward], clean_states[~forward], rtol=1e-5, atol=1e-5)
    assert not np.isfinite(states[forward]).any()
    untouched = np.where(poisoned[:, None], ~before, before)
    pairs = [(for_inputs, clean_gradients[1])] + [(for_decay, clean_gradients[0])] * varying
    for found, expected in pairs:
        np.testing.assert_allclose(found[untouched], expected[untouched], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        for_initial_state[~poisoned], clean_gradients[2][~poisoned], rtol=1e-5, atol=1e-5
    )
    if not varying:
        np.testing.assert_array_equal(for_inputs[forward], 0.0)
        np.testing.assert_array_equal(for_initial_state[poisoned], 0.0)


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
