import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_s5rl.layers.attention_block import AttentionBlock
from tests.support.differentiate import compiled, gradients

WEIGHTS = [
    ("attention_norm", "gamma"),
    ("attention_norm", "beta"),
    ("query_key_value", "kernel"),
    ("query_key_value", "bias"),
    ("attention_output", "kernel"),
    ("attention_output", "bias"),
    ("feed_forward_norm", "gamma"),
    ("feed_forward_norm", "beta"),
    ("feed_forward_hidden", "kernel"),
    ("feed_forward_hidden", "bias"),
    ("feed_forward_output", "kernel"),
    ("feed_forward_output", "bias"),
]


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def all_to_numpy(tensors):
    return [to_numpy(tensor) for tensor in keras.tree.flatten(tensors)]


def normalise(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) + beta


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def affine(x, kernel, bias):
    return x @ kernel + bias


def turn(vector, position):
    """Rotary positions, as multiplication of complex numbers."""
    half = len(vector) // 2
    pairs = vector[:half] + 1j * vector[half : 2 * half]
    pairs = pairs * np.exp(1j * position * 10_000.0 ** (-np.arange(half) / max(half, 1)))
    return np.concatenate([pairs.real, pairs.imag, vector[2 * half :]])


def add(part, inputs, outputs):
    return inputs + outputs


def oracle(weights, num_heads, context_length, inputs, resets, mask, states, join=add):
    """The block, time-major, a step at a time, with a list of what each row has seen."""
    norm_1, w_qkv, w_o, norm_2, w_1, w_2 = zip(weights[::2], weights[1::2], strict=True)
    length, batch, width = inputs.shape
    size, past = width // num_heads, context_length - 1
    outputs, final = np.zeros_like(inputs), [np.zeros(state.shape) for state in states]
    for row in range(batch):
        seen = [entry for entry in zip(*(s[row] for s in states), strict=True) if entry[2] > 0]
        for t in range(length):
            if resets[t, row]:
                seen = []
            if not mask[t, row]:
                continue
            u = inputs[t, row]
            query, key, value = np.split(affine(normalise(u, *norm_1), *w_qkv), 3)
            seen = [*seen, (key, value, 1.0)][-context_length:]
            attended = []
            for head in range(num_heads):
                part = slice(head * size, (head + 1) * size)
                scores = [
                    turn(query[part], len(seen)) @ turn(entry[0][part], position) / np.sqrt(size)
                    for position, entry in enumerate(seen, start=1)
                ]
                weight = np.exp(scores - np.max(scores))
                attended.append(weight / weight.sum() @ [entry[1][part] for entry in seen])
            z = join("attention", u, affine(np.concatenate(attended), *w_o))
            fed_forward = affine(gelu(affine(normalise(z, *norm_2), *w_1)), *w_2)
            outputs[t, row] = join("feed_forward", z, fed_forward)
        for slot, entry in zip(range(past)[::-1], seen[::-1], strict=False):
            for state, values in zip(final, entry, strict=True):
                state[row, slot] = values
    return outputs, final


@functools.cache
def make(width=6, num_heads=2, context_length=4, **kwargs):
    """A block with weights that are all at work."""
    block = AttentionBlock(width, num_heads, context_length, seed=0, **kwargs)
    block.build((None, None, width))
    generator = np.random.default_rng(0)
    for variable in weights_of(block):
        variable.assign(to_numpy(variable) + 0.3 * generator.normal(size=variable.shape))
    return block


def weights_of(block):
    return [getattr(getattr(block, layer), name) for layer, name in WEIGHTS]


def case(width, context_length, length, seed=0, reset_rate=0.3):
    """Inputs, resets and mask, time-major; states, of which some slots are filled."""
    generator, batch = np.random.default_rng(seed), 2
    filled = generator.integers(0, context_length, (batch, 1))
    valid = np.arange(context_length - 1) >= context_length - 1 - filled
    states = generator.normal(size=(2, batch, context_length - 1, width)) * valid[..., None]
    return (
        generator.normal(size=(length, batch, width)).astype("float32"),
        generator.random((length, batch)) < reset_rate,
        generator.random((length, batch)) < 0.7,
        [*states.astype("float32"), valid.astype("float32")],
    )


@functools.cache
def compiled_run(block, **kwargs):
    return compiled(lambda *arguments: block.run(*arguments, **kwargs))


def run(block, *arguments, **kwargs):
    convert = functools.partial(keras.tree.map_structure, keras.ops.convert_to_tensor)
    outputs, final = compiled_run(block, **kwargs)(*map(convert, arguments))
    return to_numpy(outputs), all_to_numpy(final)


def expected(block, inputs, resets, mask, states):
    weights = [to_numpy(variable).astype("float64") for variable in weights_of(block)]
    states = [state.astype("float64") for state in states]
    sizes = (block.num_heads, block.context_length)
    return oracle(weights, *sizes, inputs.astype("float64"), resets, mask, states)


def close(found, wanted, tolerance=1e-5):
    for a, b in zip(found, wanted, strict=True):
        scale = max(np.abs(b).max(initial=0.0), 1.0)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "width, num_heads, context_length, length",
    [(6, 2, 4, 11), (6, 3, 6, 4), (3, 1, 3, 1), (3, 3, 2, 9), (4, 2, 1, 5), (4, 4, 1, 1)],
)
def test_each_step_attends_to_the_window_of_its_episode(width, num_heads, context_length, length):
    block = make(width, num_heads, context_length)

    @settings(max_examples=10)
    @given(
        seed=st.integers(0, 99), reset_rate=st.sampled_from([0.0, 0.1, 0.5]), masks=st.booleans()
    )
    def check(seed, reset_rate, masks):
        inputs, resets, mask, states = case(width, context_length, length, seed, reset_rate)
        mask |= not masks
        outputs, final = run(block, inputs, states, resets, mask)
        wanted, wanted_final = expected(block, inputs, resets, mask, states)
        close([outputs[mask], *final], [wanted[mask], *wanted_final])

    check()


def test_without_resets_and_mask_none_is_set():
    inputs, resets, mask, states = case(6, 4, 11)
    outputs, final = run(make(), inputs, states)
    wanted, wanted_final = expected(make(), inputs, resets & False, mask | True, states)
    close([outputs, *final], [wanted, *wanted_final])


@pytest.mark.slow
@pytest.mark.parametrize("context_length, length", [(3, 8), (4, 5)])  # in chunks, at once
def test_all_gradients_are_those_of_the_equations(context_length, length):
    block = make(4, 2, context_length)
    inputs, resets, mask, (*cache, valid) = case(4, context_length, length, seed=3)
    resets[0], mask[0] = [True, False], False  # a masked step that sees nothing
    generator = np.random.default_rng(1)
    upstream = [generator.normal(size=x.shape).astype("float32") for x in (inputs, *cache)]
    upstream[0] *= mask[..., None]
    variables = weights_of(block)

    def loss(inputs, keys, values, *weights):
        with keras.StatelessScope(list(zip(variables, weights, strict=True))):
            outputs, final = block.run(inputs, [keys, values, valid], resets, mask)
        results = zip((outputs, *final[:2]), upstream, strict=True)
        return sum(keras.ops.sum(keras.ops.multiply(*pair)) for pair in results)

    def exact(inputs, keys, values, *weights):
        states = [keys, values, valid]
        outputs, final = oracle(weights, 2, context_length, inputs, resets, mask, states)
        return sum(np.sum(r * g) for r, g in zip((outputs, *final[:2]), upstream, strict=True))

    arguments = [inputs, *cache, *map(to_numpy, variables)]
    found = gradients(loss, arguments, compile=True)
    arguments = [argument.astype("float64") for argument in arguments]
    for argument, gradient in zip(arguments, found, strict=True):
        wanted = np.zeros_like(argument)
        for index in np.ndindex(argument.shape):  # central differences, exact to 1e-9
            value = argument[index]
            for nudge in (1e-5, -1e-5):
                argument[index] = value + nudge
                wanted[index] += exact(*arguments) / (2 * nudge)
            argument[index] = value
        close([gradient], [wanted])


@pytest.mark.slow
def test_pieces_of_a_stream_give_what_the_whole_gives():
    block = make(context_length=5)
    inputs, resets, mask, states = case(6, 5, 17, reset_rate=0.1)
    whole, final = run(block, inputs, states, resets, mask)
    pieces, cuts = [], [0, 1, 2, 3, 10, 17]
    for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
        part = slice(start, stop)
        piece, states = run(block, inputs[part], states, resets[part], mask[part])
        pieces.append(piece)
    close([np.concatenate(pieces)[mask], *final], [whole[mask], *states])


@pytest.mark.slow
def test_time_backwards_is_the_flipped_sequence_cut_at_the_same_places():
    block = make()
    inputs, resets, mask, states = case(6, 4, 11)
    cuts = np.concatenate([np.zeros_like(resets[:1]), resets[:0:-1]])
    wanted, wanted_final = run(block, inputs[::-1].copy(), states, cuts, mask[::-1].copy())
    found, final = run(block, inputs, states, resets, mask, reverse=True)
    close([found[mask], *final], [wanted[::-1][mask], *wanted_final])


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("bad, length", [(np.nan, 6), (np.inf, 12)])  # at once, in chunks
def test_what_is_broken_before_a_reset_is_not_seen_after_it(bad, length):
    block = make()
    inputs, resets, _, states = case(6, 4, length, reset_rate=0.0)
    resets[3] = True
    clean, clean_final = run(block, inputs, states, resets)
    broken = [np.full_like(states[0], bad), np.full_like(states[1], bad), np.ones_like(states[2])]
    outputs, final = run(block, inputs, broken, resets)
    close([outputs[3:], *final], [clean[3:], *clean_final], 0)
    assert np.isnan(outputs[:3]).all()  # nothing is glossed over before it
    spoilt = np.where(np.arange(length)[:, None, None] == 2, bad, inputs).astype("float32")
    outputs, final = run(block, spoilt, states, resets)
    close([outputs[3:], outputs[:2], *final], [clean[3:], clean[:2], *clean_final], 0)
    assert np.isnan(outputs[2]).all()

    def loss(keys, values):
        outputs, _ = block.run(inputs, [keys, values, broken[2]], resets)
        return keras.ops.sum(outputs[3:] ** 2)

    close(gradients(loss, broken[:2], compile=True), [np.zeros_like(broken[0])] * 2, 0)


def test_padding_may_hold_anything():
    block = make()
    inputs, resets, mask, states = case(6, 4, 12, reset_rate=0.1)
    clean, clean_final = run(block, inputs, states, resets, mask)
    inputs[~mask] = np.nan
    outputs, final = run(block, inputs, states, resets, mask)
    close([outputs[mask], *final], [clean[mask], *clean_final], 0)


def test_a_masked_step_with_a_reset_clears_the_cache():
    block = make()
    inputs, resets, mask, states = case(6, 4, 3)
    resets[:], mask[:] = False, False
    resets[1, 0] = True
    _, final = run(block, inputs, states, resets, mask)
    for found, start in zip(final, states, strict=True):
        np.testing.assert_array_equal(found[0], 0.0)
        np.testing.assert_array_equal(found[1], start[1])


@pytest.mark.slow
def test_dropout_acts_on_weights_and_in_the_feed_forward_part_in_training_alone():
    block = make.__wrapped__(dropout=0.5)
    inputs = keras.ops.convert_to_tensor(case(6, 4, 5)[0])
    seeds = [variable.value for variable in block.non_trainable_variables]

    def call(training):
        def outputs(inputs, *weights):
            return block.stateless_call(weights, seeds, inputs, training=training)[0]

        function = compiled(outputs)
        return lambda: to_numpy(function(inputs, *(v.value for v in block.trainable_variables)))

    test, train = call(False), call(True)
    kernels = block.attention_output.kernel, block.feed_forward_output.kernel
    for silent, other in (kernels, kernels[::-1]):
        value = to_numpy(silent)
        silent.assign(0.0 * value)
        assert np.abs(train() - test()).max() > 1e-3  # the other part drops
        other_value = to_numpy(other)
        other.assign(0.0 * other_value)
        np.testing.assert_allclose(train(), test(), atol=1e-6)
        silent.assign(value)
        other.assign(other_value)


def test_initial_kernels_keep_the_variance_and_follow_the_seed():
    def kernels(seed):
        block = AttentionBlock(8, 2, seed=seed)
        block.build((None, None, 8))
        return [to_numpy(variable) for variable in weights_of(block) if len(variable.shape) == 2]

    first = kernels(1)
    for kernel, gain in zip(first, (3.0**0.5, 1.0, 2.0, 1.0), strict=True):
        gram = kernel @ kernel.T if kernel.shape[0] <= kernel.shape[1] else kernel.T @ kernel
        np.testing.assert_allclose(gram, gain**2 * np.eye(8), atol=1e-5)
    for kernel, again, other in zip(first, kernels(1), kernels(2), strict=True):
        np.testing.assert_array_equal(kernel, again)
        assert (kernel != other).any()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"width": 0}, "`width` should be a positive integer"),
        ({"num_heads": 0}, "`num_heads` should be a positive integer"),
        ({"context_length": 0}, "`context_length` should be a positive integer"),
        ({"num_heads": 4}, "`num_heads` should divide `width`"),
        ({"dropout": 1.0}, r"`dropout` should be in \[0, 1\)"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        AttentionBlock(**{"width": 6, "num_heads": 2, **wrong})


def test_inputs_of_another_width_and_step_scale_are_refused():
    with pytest.raises(ValueError, match="`width` features, 6.*Received: inputs.shape"):
        AttentionBlock(6, 2)(np.ones((2, 3, 4), "float32"))
    with pytest.raises(
        ValueError, match="(?s)`step_scale` is for layers in continuous time.*Received"
    ):
        make()(np.ones((2, 3, 6), "float32"), step_scale=np.ones((2, 3)))
