"""What every layer with resets must do, asked of each of them."""

import keras
import numpy as np
import pytest

from tests.layers.every_layer import KINDS, LAYERS
from tests.support.differentiate import BACKEND, COMPILE, compiled, gradients

pytestmark = pytest.mark.slow_after(1)

BATCH, TIME, FEATURES = 2, 7, 3
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
RESETS = np.array([[False, False, True, False, False, True, True], [True] + [False] * 6])
MASK = np.array([[True, False, False, True, True, True, False], [False, True] * 3 + [True]])


@pytest.fixture(params=LAYERS, ids=str)
def make(request):
    return LAYERS[request.param]


@pytest.fixture(params=KINDS, ids=str)
def one_of_a_kind(request):
    return KINDS[request.param]


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def all_to_numpy(tensors):
    return [to_numpy(tensor) for tensor in keras.tree.flatten(tensors)]


def random_states(layer, batch_size=BATCH):
    return [
        RNG.normal(size=state.shape).astype("float32")
        for state in all_to_numpy(layer.get_initial_state(batch_size))
    ]


def close(found, expected, atol=1e-5):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol)


def run(layer, inputs, **kwargs):
    if not layer.built:
        layer.build(inputs.shape)

    def call(inputs, **kwargs):  # a new function each time: tests change attributes of the layer
        return layer(inputs, **kwargs)

    call = compiled(call) if COMPILE and not layer.stateful else call
    outputs, *states = call(inputs, **kwargs)
    return to_numpy(outputs), all_to_numpy(states)


@pytest.mark.slow_after(1)
def test_a_sequence_with_resets_is_its_pieces_run_apart(make):
    layer = make(return_state=True)
    layer.build(INPUTS.shape)
    start = random_states(layer)

    def call(inputs, resets, *states):
        return layer(inputs, resets=resets, initial_state=list(states))

    def call_from(inputs, states):
        return layer(inputs, initial_state=states)

    tensors = [keras.ops.convert_to_tensor(value) for value in (INPUTS, RESETS, *start)]
    whole, *final = compiled(call)(*tensors)
    run_piece = compiled(call_from) if COMPILE else call_from
    for row in range(BATCH):
        cuts = [0, *np.flatnonzero(RESETS[row]), TIME]
        pieces = []
        states = [state[row : row + 1] for state in start]
        for first, stop in zip(cuts[:-1], cuts[1:], strict=True):
            if first == stop:
                continue
            if RESETS[row, first]:
                states = None
            piece, *states = run_piece(INPUTS[row : row + 1, first:stop], states)
            pieces.append(to_numpy(piece))
        close([to_numpy(whole)[row : row + 1]], [np.concatenate(pieces, axis=1)])
        close([state[row : row + 1] for state in all_to_numpy(final)], all_to_numpy(states))


def test_steps_give_what_the_sequence_gives(make):
    layer = make(return_state=True)
    layer.build(INPUTS.shape)
    start = random_states(layer)
    expected, expected_states = run(layer, INPUTS, resets=RESETS, initial_state=start)
    single = not isinstance(layer.get_initial_state(1), list)
    state = keras.ops.convert_to_tensor(start[0]) if single else start
    step = compiled(layer.step)
    outputs = []
    for t in range(TIME):
        output, state = step(
            keras.ops.convert_to_tensor(INPUTS[:, t]),
            keras.ops.convert_to_tensor(RESETS[:, t]),
            state,
        )
        assert isinstance(state, list) != single
        outputs.append(to_numpy(output))
    close([np.stack(outputs, axis=1)], [expected])
    close(all_to_numpy(state), expected_states)


def test_the_first_step_builds_the_layer(one_of_a_kind):
    layer = one_of_a_kind()
    output, _ = layer.step(INPUTS[:, 0], RESETS[:, 0], layer.get_initial_state(BATCH))
    assert layer.built
    assert tuple(output.shape) == layer.compute_output_shape(INPUTS.shape)[::2]


@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_a_broken_state_does_not_survive_a_reset(make, bad):
    layer = make(return_state=True)
    clean, clean_states = run(layer, INPUTS, resets=np.ones_like(RESETS))
    broken = [np.full_like(state, bad) for state in random_states(layer)]
    outputs, states = run(layer, INPUTS, resets=np.ones_like(RESETS), initial_state=broken)
    np.testing.assert_array_equal(outputs, clean)
    close(states, clean_states)

    def loss(inputs, *states):
        outputs, *_ = layer(inputs, resets=np.ones_like(RESETS), initial_state=list(states))
        return keras.ops.sum(outputs**2)

    for_inputs, *for_states = gradients(loss, [INPUTS, *broken])
    assert np.isfinite(for_inputs).all()
    for gradient in for_states:
        np.testing.assert_array_equal(gradient, 0.0)


def test_gradients_of_sequence_and_steps_agree(one_of_a_kind):
    layer = one_of_a_kind()
    layer.build(INPUTS.shape)
    start = random_states(layer)
    single = not isinstance(layer.get_initial_state(1), list)

    def by_sequence(inputs, *states):
        return keras.ops.sum(layer(inputs, resets=RESETS, initial_state=list(states)) ** 2)

    def by_steps(inputs, *states):
        state, total = states[0] if single else list(states), 0.0
        for t in range(TIME):
            output, state = layer.step(inputs[:, t], RESETS[:, t], state)
            total = total + keras.ops.sum(output**2)
        return total

    arguments = [INPUTS, *start]
    close(gradients(by_sequence, arguments), gradients(by_steps, arguments), atol=1e-4)


def test_a_masked_step_keeps_the_state_and_repeats_the_last_output(make):
    layer = make(return_state=True)
    outputs, states = run(layer, INPUTS, resets=RESETS, mask=MASK)
    for row in range(BATCH):
        state = None
        last = np.zeros_like(outputs[0, 0])
        for t in range(TIME):
            if RESETS[row, t]:
                state, last = None, np.zeros_like(last)
            if MASK[row, t]:
                output, state = run(layer, INPUTS[row : row + 1, t : t + 1], initial_state=state)
                last = output[0, 0]
            close([outputs[row, t]], [last])
        state = state or all_to_numpy(layer.get_initial_state(1))
        close([value[row : row + 1] for value in states], state)
    assert np.abs(outputs[1, 0]).max() == 0  # nothing yet


def test_zero_output_for_mask_gives_zeros_instead(one_of_a_kind):
    layer = one_of_a_kind(zero_output_for_mask=True, return_state=True)
    outputs, states = run(layer, INPUTS, mask=MASK)
    np.testing.assert_array_equal(outputs[~MASK], 0.0)
    layer.zero_output_for_mask = False
    held, held_states = run(layer, INPUTS, mask=MASK)
    close([outputs[MASK], *states], [held[MASK], *held_states])


def test_the_mask_that_keras_hands_on_is_used(one_of_a_kind):
    layer = one_of_a_kind()
    masking = keras.layers.Masking()
    inputs = np.where(MASK[..., None], INPUTS, 0.0).astype("float32")
    expected = to_numpy(layer(inputs, resets=RESETS, mask=MASK))
    close([to_numpy(layer(masking(inputs), resets=RESETS))], [expected])
    sequence = keras.Input((TIME, FEATURES))
    model = keras.Model(sequence, layer(masking(sequence)))
    close([to_numpy(model(inputs))], [to_numpy(layer(inputs, mask=MASK))])


def test_the_last_output_alone_is_that_of_the_sequence(one_of_a_kind):
    layer = one_of_a_kind()
    for kwargs in ({}, {"mask": MASK}):
        whole = to_numpy(layer(INPUTS, resets=RESETS, **kwargs))
        layer.return_sequences = False
        close([to_numpy(layer(INPUTS, resets=RESETS, **kwargs))], [whole[:, -1]])
        layer.return_sequences = True


def test_going_backwards_cuts_episodes_at_the_same_places(make):
    layer = make(return_state=True)
    layer.build(INPUTS.shape)
    start = random_states(layer)
    # In reversed time an episode starts one step after, in time, the next one begins.
    flipped = np.zeros_like(RESETS)
    flipped[:, 1:] = RESETS[:, :0:-1]
    for mask in (None, MASK):
        expected, expected_states = run(
            layer,
            INPUTS[:, ::-1].copy(),
            resets=flipped,
            initial_state=start,
            mask=None if mask is None else mask[:, ::-1].copy(),
        )
        layer.go_backwards = True
        for sequences in (True, False):
            layer.return_sequences = sequences
            outputs, states = run(layer, INPUTS, resets=RESETS, initial_state=start, mask=mask)
            close([outputs], [expected if sequences else expected[:, -1]])
            close(states, expected_states)
        layer.go_backwards, layer.return_sequences = False, True


def test_a_stateful_layer_goes_on_where_it_ended_until_it_is_reset(one_of_a_kind):
    layer = one_of_a_kind(stateful=True, return_state=True)
    first, _ = run(layer, INPUTS[:, :4])
    second, states = run(layer, INPUTS[:, 4:])
    close(all_to_numpy(layer.states), states)
    layer.reset_state()
    whole, _ = run(layer, INPUTS)
    close([np.concatenate([first, second], axis=1)], [whole])
    with pytest.raises(ValueError, match="(?s)`stateful=True`.*Received: batch size 1"):
        layer(INPUTS[:1])
    with pytest.raises(ValueError, match="(?s)static batch size.*Received"):
        one_of_a_kind(stateful=True).build((None, TIME, FEATURES))


def test_the_initial_state_is_that_of_an_episode_start(make):
    layer = make(return_state=True)
    implicit = run(layer, INPUTS)
    state = layer.get_initial_state(BATCH)
    explicit = run(layer, INPUTS, initial_state=state)
    close([implicit[0], *implicit[1]], [explicit[0], *explicit[1]])
    assert [tuple(s.shape[1:]) for s in keras.tree.flatten(state)] == layer.state_shapes


def test_a_sequence_without_steps_returns_the_state_it_was_given(make):
    layer = make(return_state=True)
    layer.build(INPUTS.shape)
    start = random_states(layer)
    outputs, states = run(layer, INPUTS[:, :0], initial_state=start)
    assert outputs.shape == layer.compute_output_shape((BATCH, 0, FEATURES))[0]
    close(states, start)


@pytest.mark.slow
def test_states_stay_float32_in_a_model_under_mixed_bfloat16(one_of_a_kind):
    keras.utils.set_random_seed(0)
    layer = one_of_a_kind(return_state=True, dtype="mixed_bfloat16")
    layer.build(INPUTS.shape)
    start = [1 + np.abs(state) * 1e-3 for state in random_states(layer)]
    # Masked steps hand the state on to the last bit.
    _, *states = layer(INPUTS, initial_state=start, mask=np.zeros_like(MASK))
    for state, given in zip(states, start, strict=True):
        assert keras.backend.standardize_dtype(state.dtype) == "float32"
        np.testing.assert_array_equal(to_numpy(state), given)
    outputs, *_ = layer(INPUTS, resets=RESETS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    single = not isinstance(layer.get_initial_state(1), list)
    output, state = layer.step(INPUTS[:, 0], RESETS[:, 0], start[0] if single else start)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    for value in keras.tree.flatten(state):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"

    full = one_of_a_kind(return_state=True)
    full.build(INPUTS.shape)
    full.set_weights([to_numpy(weight) for weight in layer.weights])
    exact, _ = run(full, INPUTS, resets=RESETS)
    # A single entry may be further off: how products are rounded depends on the machine.
    error = to_numpy(outputs) - exact
    assert np.sqrt(np.mean(error**2)) < 0.1 * np.std(exact)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' Variable and numpy 2
def test_a_model_saved_and_loaded_gives_the_same_outputs(make, tmp_path):
    layer = make(return_state=True, zero_output_for_mask=True, go_backwards=True)
    sequence = keras.Input((TIME, FEATURES))
    resets = keras.Input((TIME,), dtype="bool")
    model = keras.Model([sequence, resets], layer(sequence, resets=resets))
    expected = all_to_numpy(model([INPUTS, RESETS]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for found, wanted in zip(all_to_numpy(loaded([INPUTS, RESETS])), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_config_holds_every_argument(make):
    layer = make(return_state=True, return_sequences=False, go_backwards=True, name="memory")
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.return_state and again.go_backwards and not again.return_sequences


def test_a_symbolic_call_has_the_shapes_of_the_real_one(make):
    layer = make(return_state=True)
    sequence = keras.Input((None, FEATURES))
    resets = keras.Input((None,), dtype="bool")
    symbolic = layer(sequence, resets=resets)
    real = layer(INPUTS, resets=RESETS)
    for a, b in zip(symbolic, real, strict=True):
        assert len(a.shape) == len(b.shape) and a.shape[-1] == b.shape[-1]
        assert keras.backend.standardize_dtype(a.dtype) == keras.backend.standardize_dtype(b.dtype)
    model = keras.Model([sequence, resets], symbolic)
    close(all_to_numpy(model([INPUTS, RESETS])), all_to_numpy(real))


def test_a_wrong_state_is_named(make):
    layer = make()
    layer.build(INPUTS.shape)
    start = random_states(layer)
    with pytest.raises(ValueError, match="(?s)should hold .* tensor.*Received"):
        layer(INPUTS, initial_state=[*start, start[0]])
    with pytest.raises(ValueError, match="(?s)should have shape .*Received"):
        layer(INPUTS, initial_state=[state[:, :1] for state in start])


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs eagerly.")
def test_gradients_compile(one_of_a_kind):
    layer = one_of_a_kind()
    layer.build(INPUTS.shape)
    start = random_states(layer)

    def loss(inputs, *states):
        outputs = layer(inputs, resets=RESETS, mask=MASK, initial_state=list(states))
        return keras.ops.sum(outputs**2)

    close(
        gradients(loss, [INPUTS, *start], compile=True),
        gradients(loss, [INPUTS, *start]),
        atol=1e-4,
    )
