import functools

import keras
import numpy as np
import pytest

from keras_s5rl.layers.causal_attention import CausalAttention
from tests.support.differentiate import BACKEND, compiled

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 11, 3)).astype("float32")
RESETS = RNG.random((2, 11)) < 0.2
MASK = RNG.random((2, 11)) < 0.8


def make(num_layers=2, width=6, num_heads=2, context_length=3, **kwargs):
    kwargs = {"seed": 0, "return_state": True, **kwargs}
    layer = CausalAttention(num_layers, width, num_heads, context_length, **kwargs)
    layer.build((None, None, 3))
    return layer


@functools.cache
def compiled_call(layer):
    return compiled(lambda inputs, arguments: layer(inputs, **arguments))


def call(layer, inputs=INPUTS, **arguments):
    """Outputs, then states."""
    convert = functools.partial(keras.tree.map_structure, keras.ops.convert_to_tensor)
    return compiled_call(layer)(*map(convert, (inputs, arguments)))


def all_to_numpy(tensors):
    return [
        np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
        for tensor in keras.tree.flatten(tensors)
    ]


def close(found, wanted, tolerance=1e-5):
    for a, b in zip(all_to_numpy(found), all_to_numpy(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def some_states(layer):
    """Caches as two steps leave them behind."""
    return list(call(layer, RNG.normal(size=(2, 2, 3)).astype("float32"))[1:])


@pytest.mark.slow
def test_it_is_encoder_blocks_and_a_last_norm():
    layer = make()

    def by_hand(inputs):
        outputs = layer.encoder(inputs)
        for block in layer.blocks:
            outputs = block(outputs, resets=RESETS, mask=MASK)
        return layer.last_norm(outputs)

    wanted = compiled(by_hand)(keras.ops.convert_to_tensor(INPUTS))
    close(call(layer, resets=RESETS, mask=MASK)[0], wanted)
    assert layer.state_shapes == [(2, 6), (2, 6), (2,)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("context_length", (1, 3, 20))
def test_steps_give_what_the_sequence_gives(context_length):
    layer = make(context_length=context_length)
    states = some_states(layer)
    whole, *final = call(layer, resets=RESETS, initial_state=states)
    step, outputs = compiled(layer.step), []
    for t in range(INPUTS.shape[1]):
        now = map(keras.ops.convert_to_tensor, (INPUTS[:, t], RESETS[:, t]))
        output, states = step(*now, states)
        outputs.append(all_to_numpy(output)[0])
    close([np.stack(outputs, axis=1), *states], [whole, *final])


@pytest.mark.slow
def test_nothing_is_seen_beyond_the_reach_of_the_windows():
    layer = make(num_layers=2, context_length=3)
    changed = INPUTS.copy()
    changed[:, 2] += 1.0
    first, second = (all_to_numpy(call(layer, inputs)[0])[0] for inputs in (INPUTS, changed))
    seen = np.abs(first - second).max(axis=(0, 2)) > 1e-6
    assert seen.tolist() == [2 <= t <= 2 + 2 * (3 - 1) for t in range(11)]


@pytest.mark.slow
def test_mixed_bfloat16_keeps_a_float32_cache():
    layer = make(dtype="mixed_bfloat16")
    start = [state * (1 + 1e-4) for state in some_states(layer)]
    outputs, *states = call(layer, initial_state=start, mask=np.zeros_like(MASK))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    close(states, start, 0)
    outputs, *states = call(layer, resets=RESETS)
    assert {keras.backend.standardize_dtype(state.dtype) for state in states} == {"float32"}
    close(outputs, call(make(), resets=RESETS)[0], 0.1)


@pytest.mark.slow
def test_a_saved_model_gives_the_same_outputs_and_the_config_is_whole(tmp_path):
    layer = make(num_layers=1, dropout=0.1, name="memory")
    config = layer.get_config()
    assert CausalAttention.from_config(config).get_config() == config
    names = ("num_layers", "width", "num_heads", "context_length", "dropout")
    assert [config[name] for name in names] == [1, 6, 2, 3, 0.1]
    sequence = keras.Input((None, 3))
    keras.Model(sequence, layer(sequence)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("memory")
    close(call(loaded, resets=RESETS), call(layer, resets=RESETS), 0)


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="Only TensorFlow has lengths known at run time."
)
def test_a_length_known_at_run_time_gives_the_same():
    import tensorflow as tf

    layer = make()
    states = some_states(layer)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 3)),
            *[tf.TensorSpec((None, None), tf.bool)] * 2,
        ]
    )
    def call(inputs, resets, mask):
        outputs = layer(inputs, resets=resets, mask=mask, initial_state=states)
        for state, shape in zip(outputs[1:], layer.state_shapes, strict=True):
            assert tuple(state.shape[1:]) == shape  # known, as a loop's carry needs it
        return outputs

    for length in (1, 5, 11):
        part = [x[:, :length] for x in (INPUTS, RESETS, MASK)]
        wanted = layer(part[0], resets=part[1], mask=part[2], initial_state=states)
        close(call(*map(tf.constant, part)), wanted)


@pytest.mark.parametrize("wrong", ({"num_layers": 0}, {"width": 0}, {"num_heads": 4}))
def test_a_wrong_size_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` should .*Received"):
        make(**wrong)
