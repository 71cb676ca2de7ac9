"""Dtypes that the layers compute in, and those that they refuse: float64 and quantized ones."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5, Resettable, S5Stack
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.models import ActorCritic, Categorical
from tests.layers.every_layer import LAYERS
from tests.support.differentiate import gradients

pytestmark = pytest.mark.not_on_tensorflow

INPUTS = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
RESETS = np.array([[0, 1, 0, 0], [0, 0, 0, 1]], bool)
MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)


@pytest.fixture(params=LAYERS, ids=str)
def make(request):
    return LAYERS[request.param]


@pytest.fixture
def floatx():
    def set_both(dtype):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)  # made of floatx once, when the first layer is made

    yield set_both
    set_both("float32")


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def test_float64_and_quantized_policies_are_refused(make):
    for dtype in ("float64", "int8_from_float32", "float8_from_float32", "int32"):
        with pytest.raises(ValueError, match="(?s)`dtype` should be 'float32'.*Received: dtype="):
            make(dtype=dtype)


def test_float64_as_the_global_dtype_is_refused_with_the_way_out(floatx):
    floatx("float64")
    for layer in (
        lambda: S5(4),
        lambda: S5Stack(1, 4),
        lambda: ActorCritic(3, Categorical(2), S5(4)),
    ):
        with pytest.raises(ValueError, match="(?s)`dtype`.*dtype='float32'.*Received.*float64"):
            layer()
    with pytest.raises(ValueError, match="(?s)`dtype of cell`.*Received.*float64"):
        Resettable(keras.layers.GRUCell(4), dtype="float32")
    with pytest.raises(ValueError, match="(?s)`dtype`.*Received.*float64"):
        Dense(4).build((None, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ("S5", "S5Stack", "CausalAttention"))
def test_explicit_float32_is_the_same_under_every_global_dtype(name, floatx):
    def everything():
        layer = LAYERS[name](dtype="float32", return_state=True)
        layer.build(INPUTS.shape)
        generator = np.random.default_rng(1)
        for weight in layer.weights:
            weight.assign(0.3 * generator.normal(size=weight.shape).astype("float32"))

        def loss(inputs):
            return keras.ops.sum(layer(inputs, resets=RESETS, mask=MASK)[0] ** 2)

        outputs = [*layer(INPUTS, resets=RESETS, mask=MASK), layer(INPUTS)[0]]
        outputs += keras.tree.flatten(layer.step(INPUTS[:, 0], None, layer.get_initial_state(2)))
        for output in outputs:
            assert keras.backend.standardize_dtype(output.dtype) == "float32"
        assert {keras.backend.standardize_dtype(w.dtype) for w in layer.weights} == {"float32"}
        return [*map(to_numpy, outputs), *gradients(loss, [INPUTS])]

    expected = everything()
    for dtype in ("float64", "float16", "bfloat16"):
        floatx(dtype)
        for found, wanted in zip(everything(), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("dtype", ("bfloat16", "mixed_float16"))  # each type and kind once
def test_half_precision_keeps_float32_states(make, dtype):
    layer = make(dtype=dtype, return_state=True)
    outputs, *states = layer(INPUTS, resets=RESETS)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype.removeprefix("mixed_")
    assert {keras.backend.standardize_dtype(state.dtype) for state in states} == {"float32"}
    assert np.isfinite(to_numpy(outputs)).all()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ("int8", "int4", "float8"))
def test_quantizing_a_model_leaves_the_layers_as_they_are_and_says_so(mode):
    inputs = keras.Input((None, 3))
    stack = S5Stack(1, 4, norm="pre", state_size=4)
    hidden = S5(state_size=4)(stack(inputs))
    model = keras.Model(inputs, hidden)
    expected = to_numpy(model(INPUTS))
    with pytest.warns(UserWarning) as warned:
        model.quantize(mode)
    messages = "\n".join(str(warning.message) for warning in warned)
    for layer in (
        stack.encoder,
        stack.blocks[0].gate,
        stack.blocks[0].s5,
        hidden._keras_history[0],
    ):
        assert f"layer {layer.name!r} stays as it is" in messages
    np.testing.assert_array_equal(to_numpy(model(INPUTS)), expected)
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.slow_after(1)
def test_quantizing_a_layer_raises_and_leaves_it_as_it_is(make):
    layer = make()
    expected = to_numpy(layer(INPUTS))
    for arguments in ({}, {"type_check": False}):
        with pytest.raises(NotImplementedError, match="(?s)`quantize` does not reach.*Received"):
            layer.quantize("int8", **arguments)
    np.testing.assert_array_equal(to_numpy(layer(INPUTS)), expected)


def test_a_dense_layer_is_not_quantized_even_where_the_type_is_not_checked():
    layer = Dense(4)
    layer.build((None, 3))
    with pytest.raises(NotImplementedError, match="(?s)`quantize`.*mode='int8'"):
        layer.quantize("int8", type_check=False)
    assert layer.quantization_mode is None
    with pytest.raises(ValueError, match="(?s)`dtype`.*int8_from_float32"):
        Dense(4, dtype="int8_from_float32").build((None, 3))


@pytest.mark.slow
def test_lora_reaches_the_products_of_a_dense_layer(tmp_path):
    stack = S5Stack(1, 130, state_size=4, activation="full_glu")
    model = keras.Sequential([keras.Input((4, 3)), stack])
    stack.encoder.enable_lora(2)
    stack.blocks[0].gate.enable_lora(2)
    generator = np.random.default_rng(0)
    for dense in (stack.encoder, stack.blocks[0].gate):
        for weight in (dense.lora_kernel_a, dense.lora_kernel_b):
            weight.assign(0.3 * generator.normal(size=weight.shape))
    merged = S5Stack(1, 130, state_size=4, activation="full_glu")
    merged.build((None, None, 3))
    values = {weight.path.split("/", 1)[-1]: weight for weight in merged.weights}
    for weight in stack.weights:
        path = weight.path.split("s5_stack", 1)[-1].split("/", 1)[-1]
        if path in values:
            values[path].assign(weight)
    for target, source in (
        (merged.encoder, stack.encoder),
        (merged.blocks[0].gate, stack.blocks[0].gate),
    ):
        product = to_numpy(source.lora_kernel_a) @ to_numpy(source.lora_kernel_b)
        target._kernel.assign(to_numpy(source._kernel) + product)
    expected = to_numpy(merged(INPUTS))
    np.testing.assert_allclose(to_numpy(stack(INPUTS)), expected, rtol=1e-4, atol=1e-5)
    state = stack.get_initial_state(len(INPUTS))
    first, _ = stack.step(INPUTS[:, 0], None, state, DerivedWeights(model))
    np.testing.assert_allclose(to_numpy(first), expected[:, 0], rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(INPUTS)), expected, rtol=1e-4, atol=1e-5)
