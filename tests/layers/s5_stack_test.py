import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5Stack

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 5, 3)).astype("float32")
RESETS = RNG.random((2, 5)) < 0.3


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


@pytest.mark.slow
@pytest.mark.parametrize("norm", (None, "pre", "post"))
def test_the_stack_is_encoder_blocks_and_a_last_norm_where_pre_normed(norm):
    stack = S5Stack(3, 4, norm=norm, state_size=8)
    stack.build(INPUTS.shape)
    outputs = stack.encoder(INPUTS)
    for block in stack.blocks:
        outputs = block(outputs, resets=RESETS)
    assert (stack.last_norm is not None) == (norm == "pre")
    if norm == "pre":
        outputs = stack.last_norm(outputs)
    np.testing.assert_allclose(
        to_numpy(stack(INPUTS, resets=RESETS)), to_numpy(outputs), rtol=1e-4, atol=1e-5
    )


def test_each_block_gets_and_returns_its_own_state():
    stack = S5Stack(3, 4, state_size=8, return_state=True)
    stack.build(INPUTS.shape)
    states = [RNG.normal(size=(2, 2, 4)).astype("float32") for _ in range(3)]
    outputs = stack.encoder(INPUTS)
    expected = []
    for block, state in zip(stack.blocks, states, strict=True):
        block.return_state = True
        outputs, state = block(outputs, initial_state=state)
        expected.append(to_numpy(state))
    _, *found = stack(INPUTS, initial_state=states)
    for state, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(state), wanted, rtol=1e-4, atol=1e-5)


def test_blocks_differ_and_one_seed_gives_them_again():
    def kernels(seed):
        stack = S5Stack(2, 4, state_size=8, seed=seed)
        stack.build(INPUTS.shape)
        return [to_numpy(block.s5.B) for block in stack.blocks]

    first, second = kernels(0)
    assert (first != second).any()
    np.testing.assert_array_equal([first, second], kernels(0))


def test_a_bidirectional_stack_has_two_states_a_block():
    stack = S5Stack(2, 4, state_size=8, bidirectional=True, return_state=True)
    outputs, *states = stack(INPUTS, resets=RESETS)
    assert len(states) == 4 == len(stack.get_initial_state(2))
    again, *_ = stack(INPUTS, resets=RESETS, initial_state=stack.get_initial_state(2))
    np.testing.assert_allclose(to_numpy(again), to_numpy(outputs), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="`step` and `stateful=True` need the past alone"):
        stack.step(INPUTS[:, 0], RESETS[:, 0], states)


def test_step_scale_reaches_every_block():
    stack = S5Stack(2, 4, state_size=8)
    plain = to_numpy(stack(INPUTS))
    scale = np.full((2, 5), 2.0, "float32")
    scaled = to_numpy(stack(INPUTS, step_scale=scale))
    assert np.abs(scaled - plain).max() > 1e-3
    for block in stack.blocks:
        block.s5.step_rescale = 2.0
    np.testing.assert_allclose(to_numpy(stack(INPUTS)), scaled, rtol=1e-4, atol=1e-5)


def test_every_initial_kernel_is_orthogonal_or_in_the_eigenbasis():
    stack = S5Stack(1, 4, state_size=8)
    stack.build(INPUTS.shape)
    kernel = to_numpy(stack.encoder.kernel).astype("float64")
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(3), atol=1e-6)
    gate = to_numpy(stack.blocks[0].gate.kernel).astype("float64")
    np.testing.assert_allclose(gate @ gate.T, np.eye(4), atol=1e-6)


def test_a_stateful_stack_cannot_read_the_future():
    with pytest.raises(ValueError, match="(?s)`stateful=True`.*Received"):
        S5Stack(1, 4, stateful=True, bidirectional=True)


@pytest.mark.parametrize("wrong", ({"num_layers": 0}, {"width": 0}))
def test_a_wrong_size_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` should be a positive integer.*Received"):
        S5Stack(**{"num_layers": 1, "width": 4, **wrong})
