"""Wrong arguments of every layer: one ValueError each, which names the argument."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import (
    FFM,
    GRU,
    LRU,
    LSTM,
    S5,
    SHM,
    AttentionBlock,
    CausalAttention,
    GatedAttentionBlock,
    MinGRU,
    Resettable,
    ResidualBlock,
    S5Block,
    S5Stack,
    SelectiveSSM,
    SequenceStack,
)
from tests.layers.every_layer import KINDS, LAYERS
from tests.support.differentiate import BACKEND, compiled

BATCH, TIME, FEATURES = 2, 4, 3
INPUTS = np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES)).astype("float32")
NAN, INF = float("nan"), float("inf")


def gru(**arguments):
    return Resettable(keras.layers.GRUCell(3), **arguments)


CONSTRUCTORS = [
    *((S5, {"state_size": size}) for size in (64.0, "64", True, 0, -2, 3, None, NAN)),
    *((S5, {"num_blocks": count}) for count in (0, 1.0, "2", True, 3)),
    *((S5, {"dt_min": step}) for step in (NAN, 0, -1e-3, "1e-3", None)),
    *((S5, {"dt_max": step}) for step in (NAN, INF, 1e-4, True)),
    *((S5, {"step_rescale": factor}) for factor in (0, -1.0, NAN, INF, "2")),
    *((S5, {name: "yes"}) for name in ("conjugate_symmetry", "clip_eigenvalues", "bidirectional")),
    *((S5, {"discretization": name}) for name in ("euler", None, ["zoh"])),
    (S5, {"c_init": "zeros"}),
    (S5, {"implementation": "fast"}),
    *((LRU, {"state_size": size}) for size in (0, 2.5, "8", True)),
    *((LRU, {"r_min": radius}) for radius in (-0.1, 1.0, NAN, "0")),
    *((LRU, {"r_max": radius}) for radius in (0.0, 1.1, NAN, None)),
    *((LRU, {"max_phase": angle}) for angle in (0, -1, NAN, INF)),
    *((MinGRU, {"units": units}) for units in (0, -1, 4.0, "4", True)),
    *((FFM, {name: 0, "units": 4}) for name in ("memory_size", "context_size", "max_period")),
    (SHM, {"memory_size": 2.0, "units": 4}),
    *((layer, {"units": units}) for layer in (GRU, LSTM, FFM, SHM) for units in (0, 4.0)),
    *((SelectiveSSM, {"width": width}) for width in (0, 4.0, None)),
    *((SelectiveSSM, {"state_size": size, "width": 4}) for size in (0, "8", True)),
    *((SelectiveSSM, {"dt_rank": rank, "width": 4}) for rank in (0, 1.5)),
    (SelectiveSSM, {"dt_min": 0, "width": 4}),
    (SelectiveSSM, {"dt_max": 1e-4, "width": 4}),
    *((S5Block, {"dropout": rate, "state_size": 4}) for rate in (1.0, -0.1, NAN, "0.1", True)),
    (S5Block, {"activation": "relu"}),
    (S5Block, {"norm": "batch"}),
    (S5Block, {"norm": True}),
    (S5Block, {"state_size": 4.0}),
    *((S5Stack, {"num_layers": count, "width": 4}) for count in (0, 1.0, "2", True)),
    *((S5Stack, {"width": width, "num_layers": 1}) for width in (0, 4.0, "4", None)),
    (S5Stack, {"dropout": 1.0, "num_layers": 1, "width": 4}),
    *((CausalAttention, {"num_layers": n, "width": 4}) for n in (0, 1.5)),
    *((CausalAttention, {"width": n, "num_layers": 1}) for n in (-4, "4")),
    (CausalAttention, {"num_heads": 3, "num_layers": 1, "width": 4}),
    *((AttentionBlock, {"context_length": n, "width": 4}) for n in (0, 2.0, True)),
    (AttentionBlock, {"dropout": NAN, "width": 4}),
    *((GatedAttentionBlock, {"gate_bias": bias, "width": 4}) for bias in (NAN, "2", None)),
    (GatedAttentionBlock, {"seed": -1, "width": 4}),
    (ResidualBlock, {"layer": keras.layers.LSTM(3)}),
    (ResidualBlock, {"layer": None}),
    *((SequenceStack, {"layers": layers, "width": 3}) for layers in ([], None, "S5", [None])),
    (SequenceStack, {"width": 0.5, "layers": [MinGRU(3)]}),
    (SequenceStack, {"normalize_output": "pre", "layers": [MinGRU(3)], "width": 3}),
    *((Resettable, {"cell": cell}) for cell in (None, 4, "gru", keras.layers.Dense(3), [None])),
    *(
        (make, {name: value})
        for make in (S5, gru)
        for name in ("return_sequences", "return_state", "stateful", "go_backwards")
        for value in ("no", None, 2)
    ),
    *((S5, {"seed": seed}) for seed in (-1, 0.5, "0", True)),
    *((S5Stack, {"seed": seed, "num_layers": 1, "width": 4}) for seed in (-1, 0.5)),
    (CausalAttention, {"seed": -1, "num_layers": 1, "width": 4}),
    (S5Block, {"seed": 0.5}),
]


@pytest.mark.parametrize(
    "make, arguments", CONSTRUCTORS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_wrong_argument_is_named(make, arguments):
    name = next(iter(arguments))
    with pytest.raises(ValueError, match=f"(?s)`{name}`.*Received: .*{name}"):
        make(**arguments)


def test_an_unknown_keyword_is_named():
    for make in LAYERS.values():
        with pytest.raises(ValueError, match="state_sise"):
            make(state_sise=4)


def flags(value, dtype="float32"):
    values = np.zeros((BATCH, TIME), dtype)
    values[1, 2] = value
    return values


CALLS = [
    *(
        (name, flags(value), "0 or 1")
        for name in ("resets", "mask")
        for value in (NAN, 0.5, -1.0, INF, 2.0)
    ),
    ("resets", flags(3, "int32"), "0 or 1"),
    ("mask", flags(-1, "int64"), "0 or 1"),
    ("resets", np.zeros((BATCH,), bool), "shape"),
    ("resets", np.zeros((BATCH, TIME, 1), bool), "shape"),
    ("resets", np.zeros((BATCH, TIME + 1), bool), "shape"),
    ("mask", np.zeros((TIME, BATCH), bool), "shape"),
    ("mask", np.zeros((BATCH, 1), bool), "shape"),
]


@pytest.fixture(params=KINDS, ids=str)
def make(request):
    return KINDS[request.param]


@pytest.mark.slow_after(1)
def test_wrong_flags_are_named(make):
    layer = make()
    for name, values, reason in CALLS:
        for given in (values, keras.ops.convert_to_tensor(values)):
            with pytest.raises(ValueError, match=f"(?s)`{name}`.*{reason}.*Received: {name}"):
                layer(INPUTS, **{name: given})
    state = layer.get_initial_state(BATCH)
    for reset in (np.array([0.0, NAN], "float32"), np.array([0.5, 1.0], "float32"), flags(0)):
        with pytest.raises(ValueError, match="(?s)`reset`.*Received: reset"):
            layer.step(INPUTS[:, 0], reset, state)


@pytest.mark.slow_after(1)
def test_a_wrong_state_is_named(make):
    layer = make()
    layer.build(INPUTS.shape)
    state = [np.zeros((BATCH, *shape), "float32") for shape in layer.state_shapes]
    for wrong in (
        state[:-1],
        [*state, state[0]],
        [value[..., :-1] for value in state],
        [value[:1] for value in state],
        [value.astype("complex64") for value in state],
    ):
        with pytest.raises(ValueError, match="(?s)`initial_state`.*Received"):
            layer(INPUTS, initial_state=wrong)
    whole = [value.astype("int32") for value in state]
    layer(INPUTS, initial_state=whole)  # integers lose nothing


@pytest.mark.slow_after(1)
def test_wrong_inputs_are_named(make):
    layer = make()
    for wrong in (INPUTS[0], INPUTS[0, 0]):
        with pytest.raises(ValueError, match="expected .*ndim=3"):
            layer(wrong)
    with pytest.raises(ValueError, match="(?s)`inputs` should have a static number of features"):
        layer(keras.Input((None, None)))
    layer(INPUTS)
    with pytest.raises(ValueError, match="(?s)`inputs` should hold real numbers.*complex64"):
        layer(INPUTS.astype("complex64"))
    if not isinstance(layer, Resettable):
        with pytest.raises(ValueError, match="expected ndim=3"):
            layer(INPUTS[None])


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("dtype", ("bool", "int32", "uint8", "float32"))
def test_flags_of_every_dtype_are_taken(make, dtype):
    layer = make()
    resets = np.array([[0, 1, 0, 0], [1, 0, 0, 1]])
    expected = layer(INPUTS, resets=resets.astype(bool), mask=1 - resets)
    found = layer(INPUTS, resets=resets.astype(dtype), mask=(1 - resets).astype(dtype))
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (found, expected)))


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs eagerly.")
def test_flags_that_cannot_be_seen_are_nonzero_or_not():
    layer = S5(state_size=4)
    call = compiled(lambda inputs, resets: layer(inputs, resets=resets))
    layer.build(INPUTS.shape)
    found = call(*map(keras.ops.convert_to_tensor, (INPUTS, flags(0.5))))
    expected = layer(INPUTS, resets=flags(1).astype(bool))
    np.testing.assert_allclose(
        *map(keras.ops.convert_to_numpy, (found, expected)), rtol=1e-5, atol=1e-6
    )


def test_step_scale_holds_real_numbers():
    with pytest.raises(ValueError, match="(?s)`step_scale` should hold real numbers.*Received"):
        S5(state_size=4)(INPUTS, step_scale=np.ones((BATCH, TIME), "complex64"))
