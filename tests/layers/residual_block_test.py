import copy

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5, Resettable, ResidualBlock, S5Block

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 5, 4)).astype("float32")
RESETS = RNG.random((2, 5)) < 0.3


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", ({"norm": "pre"}, {"activation": "half_glu2", "norm": "post"})
)
def test_around_s5_it_is_an_s5_block(arguments):
    block = ResidualBlock(S5(state_size=8), return_state=True, **arguments)
    s5_block = S5Block(state_size=8, return_state=True, **arguments)
    block.build(INPUTS.shape)
    s5_block.build(INPUTS.shape)
    s5_block.set_weights(block.get_weights())
    for found, expected in zip(
        block(INPUTS, resets=RESETS), s5_block(INPUTS, resets=RESETS), strict=True
    ):
        np.testing.assert_array_equal(to_numpy(found), to_numpy(expected))


@pytest.mark.slow
def test_an_inner_layer_of_another_precision_keeps_it():
    inner = Resettable(keras.layers.GRUCell(4), dtype="float32")
    block = ResidualBlock(inner, "gelu", dtype="mixed_bfloat16")
    outputs = block(INPUTS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    y = to_numpy(inner(keras.ops.cast(keras.ops.cast(INPUTS, "bfloat16"), "float32")))
    expected = INPUTS + 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=0.05)


def test_the_config_holds_the_inner_layer_and_is_not_changed_by_its_use():
    cell = keras.layers.LSTMCell(4)
    block = ResidualBlock(Resettable(cell), norm="post", dropout=0.1, seed=3, name="outer")
    config = block.get_config()
    before = copy.deepcopy(config)
    again = ResidualBlock.from_config(config)
    assert config == before == again.get_config()
    assert isinstance(again.layer, Resettable) and again.layer is not block.layer


def test_weights_are_named_after_the_layers_inside():
    block = ResidualBlock(S5(state_size=8, name="memory"), norm="pre", name="block")
    block.build(INPUTS.shape)
    parts = {weight.path.split("/")[1] for weight in block.weights}
    assert parts == {"memory", "norm", "gate"}


@pytest.mark.parametrize(
    "layer, arguments, message",
    [
        (lambda: keras.layers.GRU(4), {}, "`layer` takes a `SequenceLayer`"),
        (lambda: S5(8, stateful=True), {}, "`stateful` belongs to the outermost layer"),
        (lambda: S5(8, bidirectional=True), {"stateful": True}, "`stateful=True` need the past"),
    ],
)
def test_a_layer_that_cannot_stand_inside_is_refused(layer, arguments, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        ResidualBlock(layer(), **arguments)


def test_the_inner_layer_has_to_keep_the_number_of_features():
    block = ResidualBlock(Resettable(keras.layers.GRUCell(3)))
    with pytest.raises(ValueError, match="(?s)as many output features.* 4.*Received.* 3 output"):
        block.build(INPUTS.shape)
