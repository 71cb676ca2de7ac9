import copy

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5, Resettable, ResidualBlock, SequenceStack

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 5, 3)).astype("float32")
RESETS = RNG.random((2, 5)) < 0.3


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def make(normalize_output=False, **kwargs):
    """Layers of three kinds, with one state and two, which change the number of features."""
    layers = [
        ResidualBlock(S5(8, seed=1), seed=1),
        Resettable(keras.layers.LSTMCell(6)),
        S5(4, seed=2),
    ]
    return SequenceStack(layers, 5, normalize_output, return_state=True, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("normalize_output", (False, True))
def test_it_is_the_encoder_and_its_layers_one_after_the_other(normalize_output):
    stack = make(normalize_output)
    stack.build(INPUTS.shape)
    states = [RNG.normal(size=(2, *shape)).astype("float32") for shape in stack.state_shapes]
    assert stack.state_shapes == [(2, 4), (6,), (6,), (2, 2)]
    found, *found_states = stack(INPUTS, resets=RESETS, initial_state=states)

    outputs, expected_states, given = stack.encoder(INPUTS), [], list(states)
    for layer in stack.blocks:
        layer.return_state = True
        count = len(layer.state_shapes)
        outputs, *ended = layer(outputs, resets=RESETS, initial_state=given[:count])
        expected_states += ended
        del given[:count]
    outputs = stack.last_norm(outputs) if normalize_output else outputs
    assert tuple(found.shape) == stack.compute_output_shape(INPUTS.shape)[0] == (2, 5, 6)
    for a, b in zip([found, *found_states], [outputs, *expected_states], strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=1e-4, atol=1e-5)


def test_without_a_width_the_first_layer_takes_the_inputs_as_they_are():
    layer = S5(4, seed=1)
    stack = SequenceStack([layer], width=None)
    assert stack.compute_output_shape(INPUTS.shape) == INPUTS.shape
    found = to_numpy(stack(INPUTS, resets=RESETS))
    np.testing.assert_allclose(found, to_numpy(layer(INPUTS, resets=RESETS)), rtol=1e-5, atol=1e-6)
    assert len(stack.weights) == len(layer.weights)
    assert SequenceStack.from_config(stack.get_config()).width is None


class FromOne(keras.layers.SimpleRNNCell):
    """A cell whose state is not zero when an episode starts."""

    def get_initial_state(self, batch_size=None):
        return [keras.ops.ones((batch_size, self.units))]


def test_an_episode_starts_from_the_states_of_the_layers_inside():
    def make(**kwargs):
        return SequenceStack([ResidualBlock(Resettable(FromOne(4)))], 4, **kwargs)

    for state in make().get_initial_state(2):
        np.testing.assert_array_equal(to_numpy(state), np.ones((2, 4)))
    stateful = make(stateful=True)
    stateful.build(INPUTS.shape)
    np.testing.assert_array_equal(to_numpy(stateful.states[0]), np.ones((2, 4)))
    stateful(INPUTS)
    stateful.reset_state()
    np.testing.assert_array_equal(to_numpy(stateful.states[0]), np.ones((2, 4)))


def test_the_config_holds_every_layer_and_is_not_changed_by_its_use():
    stack = make(normalize_output=True, name="memory", seed=1)
    config = stack.get_config()
    before = copy.deepcopy(config)
    again = SequenceStack.from_config(config)
    assert config == before == again.get_config()


def test_one_layer_that_reads_the_future_keeps_the_stack_from_stepping():
    layers = [S5(8), S5(8, bidirectional=True)]
    stack = SequenceStack(layers, 4, return_state=True)
    _, *states = stack(INPUTS, resets=RESETS)
    assert len(states) == 3 == len(stack.get_initial_state(2))
    with pytest.raises(ValueError, match="`step` and `stateful=True` need the past alone"):
        stack.step(INPUTS[:, 0], RESETS[:, 0], states)
    with pytest.raises(ValueError, match="`step` and `stateful=True` need the past alone"):
        SequenceStack(layers, 4, stateful=True)


@pytest.mark.parametrize(
    "layers, width, message",
    [
        ([], 4, "`layers` should be a list of at least one layer"),
        ([S5(8)], 0, "`width` should be a positive integer"),
        ([keras.layers.Dense(4)], 4, "`layers` takes a `SequenceLayer`"),
        ([S5(8, go_backwards=True)], 4, "`go_backwards` belongs to the outermost layer"),
    ],
)
def test_a_wrong_argument_is_named(layers, width, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        SequenceStack(layers, width)
