"""Sequences without steps and batches without rows: right shapes, untouched states, gradients."""

import keras
import numpy as np
import pytest

from tests.layers.every_layer import KINDS
from tests.support.differentiate import compiled, gradients

pytestmark = pytest.mark.not_on_tensorflow

FEATURES = 3
EMPTY = ((0, 4), (2, 0), (0, 0), (0, 1))
OPTIONS = (
    {},
    {"return_sequences": False},
    {"go_backwards": True},
    {"zero_output_for_mask": True, "return_sequences": False, "go_backwards": True},
)


@pytest.fixture(params=KINDS, ids=str)
def make(request):
    return KINDS[request.param]


def arguments_of(layer, batch, time, generator):
    """Inputs, states, resets and mask of these sizes."""
    return (
        generator.normal(size=(batch, time, FEATURES)).astype("float32"),
        [generator.normal(size=(batch, *shape)).astype("float32") for shape in layer.state_shapes],
        generator.random((batch, time)) < 0.5,
        generator.random((batch, time)) < 0.5,
    )


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.mark.slow
@pytest.mark.parametrize("shape", EMPTY)
def test_outputs_have_the_promised_shape_and_states_stay_as_they_are(make, shape):
    for options in OPTIONS:
        layer = make(return_state=True, **options)
        layer.build((None, None, FEATURES))
        inputs, start, resets, mask = arguments_of(layer, *shape, np.random.default_rng(0))
        expected = [tuple(size) for size in layer.compute_output_shape(inputs.shape)]
        for given in (
            {},
            {"resets": resets},
            {"mask": mask},
            {"resets": resets, "mask": mask, "initial_state": start},
        ):
            outputs, *states = layer(inputs, **given)
            assert [tuple(value.shape) for value in (outputs, *states)] == expected
            assert (to_numpy(outputs) == 0).all()
            if "initial_state" in given:
                for state, before in zip(states, start, strict=True):
                    np.testing.assert_array_equal(to_numpy(state), before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "compile"), [*((shape, False) for shape in EMPTY), (EMPTY[0], True)]
)
def test_gradients_are_zero_and_pass_to_the_states(make, shape, compile):
    layer = make(return_state=True)
    layer.build((None, None, FEATURES))
    inputs, start, resets, _ = arguments_of(layer, *shape, np.random.default_rng(0))

    def loss(inputs, *states):
        outputs, *states = layer(inputs, resets=resets, initial_state=list(states))
        total = keras.ops.sum(outputs**2)
        for state in states:
            total = total + keras.ops.sum(state)
        return total

    for_inputs, *for_states = gradients(loss, [inputs, *start], compile=compile)
    assert for_inputs.shape == inputs.shape
    for gradient, state in zip(for_states, start, strict=True):
        np.testing.assert_array_equal(gradient, np.ones_like(state))


@pytest.mark.slow_after(1)
def test_a_step_of_no_rows_gives_no_rows(make):
    layer = make()
    layer.build((None, None, FEATURES))
    inputs, reset = np.zeros((0, FEATURES), "float32"), np.zeros((0,), bool)
    single = not isinstance(layer.get_initial_state(1), list)
    for step in (layer.step, compiled(layer.step)):
        start = layer.get_initial_state(0)
        output, state = step(*map(keras.ops.convert_to_tensor, (inputs, reset)), start)
        assert tuple(output.shape) == (0, layer.output_size(FEATURES))
        assert isinstance(state, list) != single
        assert [tuple(value.shape) for value in keras.tree.flatten(state)] == [
            (0, *shape) for shape in layer.state_shapes
        ]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("batch", (0, 2))
def test_a_stateful_layer_keeps_its_states_over_sequences_without_steps(make, batch):
    layer = make(stateful=True)
    layer.build((batch, None, FEATURES))
    layer(np.ones((batch, 3, FEATURES), "float32"))
    before = [to_numpy(state) for state in layer.states]
    layer(np.ones((batch, 0, FEATURES), "float32"))
    for state, value in zip(layer.states, before, strict=True):
        np.testing.assert_array_equal(to_numpy(state), value)
    layer.reset_state()
