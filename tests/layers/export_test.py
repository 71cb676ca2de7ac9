"""Models with the layers in them can be exported, and the files compute what the models do."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5Stack

BACKEND = keras.backend.backend()
FEATURES, BATCH, TIME = 3, 4, 6
# Keras gives each dynamic axis of each input a name of its own; here the lengths are the same.
ONE_LENGTH = {
    "jax2tf_kwargs": {"polymorphic_shapes": [[f"(batch, time, {FEATURES})", "(batch, time)"]]}
}

pytestmark = [
    pytest.mark.slow,
    # what Keras and its exporters use
    pytest.mark.filterwarnings("ignore:The `native_serialization` parameter:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
]


def connect(stack, head, time, with_states):
    inputs = keras.Input((time, FEATURES), name="inputs")
    resets = keras.Input((time,), dtype="bool", name="resets")
    states = None
    if with_states:
        states = [
            keras.Input(shape, name=f"state_{index}")
            for index, shape in enumerate(stack.state_shapes)
        ]
    outputs, *new_states = stack(inputs, initial_state=states, resets=resets)
    if with_states:
        return keras.Model([inputs, resets, *states], [head(outputs), *new_states])
    return keras.Model([inputs, resets], head(outputs))


@pytest.fixture(scope="module")
def models():
    """The same layers as a model of whole sequences and as a model of one step."""
    keras.utils.set_random_seed(0)
    stack = S5Stack(num_layers=2, width=8, state_size=8, norm="pre", return_state=True)
    head = keras.layers.Dense(2)
    return {"sequence": connect(stack, head, None, False), "step": connect(stack, head, 1, True)}


def draw(batch, time):
    rng = np.random.default_rng(batch)
    return rng.normal(size=(batch, time, FEATURES)).astype("float32"), rng.random(
        (batch, time)
    ) < 0.3


def export_onnx(model, path, **kwargs):
    # The exporter asks for a model that was called.
    model([np.zeros([size or 1 for size in tensor.shape], tensor.dtype) for tensor in model.inputs])
    model.export(path, format="onnx", verbose=False, **kwargs)


def check_sequences(run, model, sizes=((BATCH, TIME), (1, 2 * TIME))):
    for batch, time in sizes:
        inputs = list(draw(batch, time))
        np.testing.assert_allclose(run(inputs)[0], model.predict_on_batch(inputs), atol=1e-4)


def check_stream(run, model, before=np.nan):
    """Steps through the file; of the state before the first reset nothing stays, not even a NaN."""
    inputs, resets = draw(BATCH, TIME)
    resets[:, 0] = True
    states = [np.full((BATCH, 2, 4), before, "float32") for _ in range(2)]
    outputs = []
    for time in range(TIME):
        step = slice(time, time + 1)
        output, *states = run([inputs[:, step], resets[:, step], *states])
        outputs.append(output)
    expected = model.predict_on_batch([inputs, resets])
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected, atol=1e-4)


def load_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda inputs: [np.asarray(value) for value in keras.tree.flatten(loaded.serve(inputs))]


def load_onnx(path):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    names = [tensor.name for tensor in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def load_openvino(path, num_outputs):
    openvino = pytest.importorskip("openvino")
    # On some CPUs OpenVINO would otherwise compute in bfloat16.
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    # OpenVINO lists values that the gradient would have needed after the model's own outputs.
    return lambda inputs: [model(inputs)[index] for index in range(num_outputs)]


@pytest.mark.skipif(BACKEND == "torch", reason="Keras 3.15 writes no SavedModel on torch 2.13.")
def test_saved_models_take_any_batch_and_length_and_stream(models, tmp_path):
    kwargs = ONE_LENGTH if BACKEND == "jax" else {}
    models["sequence"].export(tmp_path / "sequence", verbose=False, **kwargs)
    models["step"].export(tmp_path / "step", verbose=False)
    check_sequences(load_saved_model(tmp_path / "sequence"), models["sequence"])
    check_stream(load_saved_model(tmp_path / "step"), models["sequence"])


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="Any batch and length need TensorFlow's export."
)
def test_onnx_files_take_any_batch_and_length_and_stream(models, tmp_path):
    pytest.importorskip("tf2onnx")
    for name, model in models.items():
        export_onnx(model, f"{tmp_path}/{name}.onnx")
    check_sequences(load_onnx(f"{tmp_path}/sequence.onnx"), models["sequence"])
    # tf2onnx writes a selection as `condition * x + (1 - condition) * y`: a NaN would stay.
    check_stream(load_onnx(f"{tmp_path}/step.onnx"), models["sequence"], before=1e3)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow's files take any batch and length.")
@pytest.mark.filterwarnings("ignore")  # the converters warn, and torch's falls back to its old one
def test_onnx_files_of_a_fixed_size_compute_the_same(models, tmp_path):
    pytest.importorskip("jax2onnx" if BACKEND == "jax" else "onnxscript")
    sequence = [
        keras.InputSpec(shape=(BATCH, TIME, FEATURES), dtype="float32"),
        keras.InputSpec(shape=(BATCH, TIME), dtype="bool"),
    ]
    step = [
        keras.InputSpec(shape=(BATCH, 1, FEATURES), dtype="float32"),
        keras.InputSpec(shape=(BATCH, 1), dtype="bool"),
        *[keras.InputSpec(shape=(BATCH, 2, 4), dtype="float32")] * 2,
    ]
    for name, signature in (("sequence", sequence), ("step", step)):
        export_onnx(models[name], f"{tmp_path}/{name}.onnx", input_signature=[signature])
    check_sequences(
        load_onnx(f"{tmp_path}/sequence.onnx"), models["sequence"], sizes=((BATCH, TIME),)
    )
    check_stream(load_onnx(f"{tmp_path}/step.onnx"), models["sequence"])


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="Any batch and length need TensorFlow's export."
)
def test_openvino_files_take_any_batch_and_length_and_stream(models, tmp_path):
    pytest.importorskip("openvino")
    for name, model in models.items():
        model.export(f"{tmp_path}/{name}.xml", format="openvino", verbose=False)
    check_sequences(load_openvino(f"{tmp_path}/sequence.xml", 1), models["sequence"])
    check_stream(load_openvino(f"{tmp_path}/step.xml", 3), models["sequence"])
