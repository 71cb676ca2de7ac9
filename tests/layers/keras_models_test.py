"""The layers inside Keras models, where users of `keras.layers.LSTM` expect the same of them."""

import io
import itertools

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5, S5Stack
from tests.support.differentiate import BACKEND, gradients

BATCH, TIME, FEATURES = 2, 6, 3
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
RESETS = RNG.random((BATCH, TIME)) < 0.3
MASK = np.array([[True, False, True, True, False, True], [True, True, False, True, True, True]])
STATE = RNG.normal(size=(BATCH, 2, 4)).astype("float32")


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def close(found, expected):
    for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_symbolic_resets_state_and_a_mask_from_upstream_arrive():
    layer = S5(state_size=8, return_state=True)
    inputs, resets = keras.Input((TIME, FEATURES)), keras.Input((TIME,), dtype="bool")
    state = keras.Input((2, 4))
    masked = keras.layers.Masking()(inputs)
    outputs, final = layer(masked, initial_state=[state], resets=resets)
    # A sum over the steps that the mask of the outputs leaves in
    pooled = keras.layers.GlobalAveragePooling1D()(outputs)
    model = keras.Model([inputs, state, resets], [outputs, final, pooled])
    given = np.where(MASK[..., None], INPUTS, 0.0).astype("float32")
    expected, expected_final = layer(given, initial_state=STATE, resets=RESETS, mask=MASK)
    weights = MASK / MASK.sum(axis=1, keepdims=True)
    mean = (to_numpy(expected) * weights[..., None]).sum(axis=1)
    close(model([given, STATE, RESETS]), [expected, expected_final, mean])
    close(model.predict([given, STATE, RESETS], verbose=0), [expected, expected_final, mean])


@pytest.mark.slow
def test_an_embedding_hands_on_its_mask():
    embedding = keras.layers.Embedding(5, FEATURES, mask_zero=True)
    layer = S5(state_size=8, return_sequences=False)
    model = keras.Sequential([keras.Input((TIME,), dtype="int32"), embedding, layer])
    tokens = np.array([[3, 1, 2, 0, 0, 0], [1, 0, 4, 0, 2, 2]])
    close(model(tokens), layer(embedding(tokens), mask=tokens != 0))
    close(model(tokens)[:1], layer(embedding(tokens[:1, :3]), mask=None))


@pytest.mark.parametrize("jit_compile", (False, True) if BACKEND == "tensorflow" else ("auto",))
def test_a_model_takes_sequences_of_any_length_and_batch(jit_compile):
    layer = S5(state_size=8)
    inputs, resets = keras.Input((None, FEATURES)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, resets], layer(inputs, resets=resets))
    model.compile(jit_compile=jit_compile)
    for batch, time in ((BATCH, TIME), (1, 1), (1, 4)):
        given = [INPUTS[:batch, :time], RESETS[:batch, :time]]
        close(model.predict(given, verbose=0), layer(given[0], resets=given[1]))


def test_shapes_are_known_before_the_call_for_every_combination_of_flags():
    names = ("return_sequences", "return_state", "bidirectional")
    for flags in itertools.product((False, True), repeat=3):
        layer = S5(state_size=8, go_backwards=True, **dict(zip(names, flags, strict=True)))
        for time in (TIME, 0):
            inputs = INPUTS[:, :time]
            real = layer(inputs)
            shapes = layer.compute_output_shape(inputs.shape)
            spec = layer.compute_output_spec(keras.KerasTensor(inputs.shape))
            for tensor, shape, symbolic in zip(
                keras.tree.flatten(real),
                shapes if layer.return_state else [shapes],
                keras.tree.flatten(spec),
                strict=True,
            ):
                assert tuple(tensor.shape) == tuple(shape) == tuple(symbolic.shape)
                assert keras.backend.standardize_dtype(tensor.dtype) == symbolic.dtype


def test_a_sequence_without_steps_has_no_last_output():
    layer = S5(state_size=8, return_sequences=False, return_state=True)
    output, state = layer(INPUTS[:, :0], initial_state=STATE)
    np.testing.assert_array_equal(to_numpy(output), np.zeros((BATCH, FEATURES)))
    np.testing.assert_array_equal(to_numpy(state), STATE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' Variable and numpy 2
def test_a_stateful_model_goes_on_over_predict_until_it_is_reset_or_loaded(tmp_path):
    layer = S5Stack(2, 4, state_size=8, stateful=True)
    inputs = keras.Input(batch_shape=(BATCH, None, FEATURES))
    model = keras.Model(inputs, layer(inputs))
    free = S5Stack(2, 4, state_size=8)
    free.build(INPUTS.shape)
    free.set_weights(layer.get_weights())
    whole = to_numpy(free(INPUTS))
    close(model.predict(INPUTS[:, :2], batch_size=BATCH, verbose=0), whole[:, :2])
    close(model.predict(INPUTS[:, 2:4], batch_size=BATCH, verbose=0), whole[:, 2:4])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    close(loaded.predict(INPUTS[:, :2], batch_size=BATCH, verbose=0), whole[:, :2])
    close(model.predict(INPUTS[:, 4:], batch_size=BATCH, verbose=0), whole[:, 4:])
    loaded.layers[-1].reset_states()
    close(loaded.predict(INPUTS[:, :2], batch_size=BATCH, verbose=0), whole[:, :2])


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "jax", reason="Arrays of JAX do not change in place.")
def test_the_gradient_of_a_stateful_layer_sees_the_state_before_the_batch():
    layer = S5(state_size=8, stateful=True, implementation="sequential")
    layer.build(INPUTS.shape)
    free = S5(state_size=8, implementation="sequential")
    free.build(INPUTS.shape)
    free.set_weights(layer.get_weights())
    layer.states[0].assign(STATE)

    def loss(layer, **kwargs):
        return lambda inputs, scale: keras.ops.sum(layer(inputs, step_scale=scale, **kwargs) ** 2)

    arguments = [INPUTS, np.ones((BATCH, TIME), "float32")]
    close(gradients(loss(layer), arguments), gradients(loss(free, initial_state=STATE), arguments))


@pytest.mark.slow
def test_weights_survive_every_way_of_copying_a_model(tmp_path):
    layer = S5(state_size=8, b_regularizer="l2", d_constraint=keras.constraints.UnitNorm())
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer, S5Stack(2, 4, state_size=8)])
    assert layer.count_params() == 2 * 4 + 2 * 4 * FEATURES * 2 + FEATURES + 4
    expected = to_numpy(model(INPUTS))
    clone = keras.models.clone_model(model)
    assert (to_numpy(clone(INPUTS)) != expected).any()
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(to_numpy(clone(INPUTS)), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    model.save(tmp_path / "model.keras")
    again = keras.models.clone_model(model)
    again.load_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for copy in (again, loaded):
        np.testing.assert_array_equal(to_numpy(copy(INPUTS)), expected)
        assert isinstance(copy.layers[0].b_regularizer, keras.regularizers.L2)


def test_a_summary_names_the_layers_inside():
    model = keras.Sequential(
        [keras.Input((TIME, FEATURES)), S5Stack(2, 4, norm="pre", state_size=8)]
    )
    text = io.StringIO()
    model.summary(
        expand_nested=True, line_length=120, print_fn=lambda line: text.write(line + "\n")
    )
    assert "S5Stack" in text.getvalue()
    paths = {weight.path.split("/", 2)[2] for weight in model.weights}
    assert {"encoder/kernel", "block_0/s5/B", "block_1/gate/kernel", "last_norm/gamma"} <= paths


@pytest.mark.parametrize("dtype", ("float64", "int32", "float16"))
def test_inputs_of_any_real_dtype_are_taken(dtype):
    layer = S5(state_size=8, return_state=True)
    inputs = (3 * INPUTS).astype(dtype)
    outputs, state = layer(inputs, initial_state=STATE.astype("float64"), resets=RESETS.astype(int))
    expected = layer(inputs.astype("float32"), initial_state=STATE, resets=RESETS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    close([outputs, state], expected)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"resets": RESETS[:, 0]}, r"`resets` should have shape \(batch, time\)"),
        ({"resets": RESETS[..., None]}, r"`resets` should have shape \(batch, time\)"),
        ({"resets": RESETS[:, :-1]}, r"`resets` .* here \(2, 6\)"),
        ({"mask": MASK[..., None]}, r"`mask` should have shape \(batch, time\)"),
        ({"mask": MASK[:1]}, r"`mask` should have shape \(batch, time\)"),
        ({"step_scale": np.ones((BATCH,), "float32")}, "`step_scale` should have shape"),
        ({"initial_state": STATE[:1]}, "`initial_state` should have shape"),
        ({"initial_state": STATE[:, 0]}, "`initial_state` should have shape"),
        ({"initial_state": [STATE, STATE]}, r"`initial_state` of S5 should hold 1 tensor"),
    ],
)
def test_a_tensor_of_the_wrong_shape_is_named(given, message):
    layer = S5(state_size=8)
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        layer(INPUTS, **given)
    symbolic = keras.tree.map_structure(
        lambda value: keras.Input(batch_shape=value.shape, dtype=str(value.dtype)), given
    )
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        layer(keras.Input(batch_shape=INPUTS.shape), **symbolic)


def test_inputs_of_the_wrong_shape_are_named():
    layer = S5(state_size=8)
    for _ in range(2):  # before and after it is built
        with pytest.raises(ValueError, match="expected ndim=3"):
            layer(INPUTS[:, 0])
        layer(INPUTS)
    with pytest.raises(ValueError, match="expected axis -1"):
        layer(INPUTS[..., :2])
    with pytest.raises(ValueError, match="(?s)`inputs` of `step`.*Received"):
        layer.step(INPUTS, RESETS[:, 0], STATE)
    with pytest.raises(ValueError, match="(?s)`reset` should have shape.*Received"):
        layer.step(INPUTS[:, 0], RESETS, STATE)
    with pytest.raises(ValueError, match="(?s)`initial_state` should have shape.*Received"):
        layer.step(INPUTS[:, 0], RESETS[:, 0], STATE[:1])
