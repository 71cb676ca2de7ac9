"""Keras' own test of a layer: build, call, shapes, serialization, masks, dtypes, training."""

import keras
import pytest
from keras.src import testing

from keras_s5rl.layers import (
    FFM,
    GRU,
    LRU,
    LSTM,
    S5,
    SHM,
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

BATCH, TIME, FEATURES = 3, 2, 5
LSTMS = keras.layers.StackedRNNCells([keras.layers.LSTMCell(4), keras.layers.LSTMCell(3)])
# layer, arguments, features of the output, trainable weights, seed generators
CASES = [
    (
        S5,
        {"state_size": 8, "discretization": "bilinear", "num_blocks": 2, "clip_eigenvalues": True},
        FEATURES,
        6,
        0,
    ),
    (
        S5,
        {"state_size": 4, "conjugate_symmetry": False, "bidirectional": True, "return_state": True},
        FEATURES,
        6,
        0,
    ),
    (S5Block, {"state_size": 8, "norm": "pre", "dropout": 0.5}, FEATURES, 10, 1),
    (S5Stack, {"num_layers": 1, "width": 4, "state_size": 4, "stateful": True}, 4, 10, 0),
    (Resettable, {"cell": LSTMS, "return_state": True}, 3, 6, 2),
    (Resettable, {"cell": keras.layers.GRUCell(4)}, 4, 3, 1),
    (keras.layers.Bidirectional, {"layer": S5(state_size=4)}, 2 * FEATURES, 12, 0),
    (LRU, {"state_size": 4}, FEATURES, 6, 0),
    (MinGRU, {"units": 4}, 4, 2, 0),
    (SelectiveSSM, {"width": FEATURES, "state_size": 3, "dt_rank": 2}, FEATURES, 5, 0),
    (GRU, {"units": 4, "kernel_initializer": "glorot_uniform"}, 4, 3, 0),
    (LSTM, {"units": 4, "return_state": True}, 4, 3, 0),
    (GatedAttentionBlock, {"width": 5, "num_heads": 1, "context_length": 3}, FEATURES, 20, 0),
    (FFM, {"units": 4, "memory_size": 3, "context_size": 2}, 4, 8, 0),
    (SHM, {"units": 4, "memory_size": 3}, 4, 7, 0),
    (ResidualBlock, {"layer": LRU(4), "norm": "post"}, FEATURES, 10, 0),
    (SequenceStack, {"layers": [MinGRU(3)], "width": 4, "normalize_output": True}, 3, 6, 0),
    (
        CausalAttention,
        {"num_layers": 1, "width": 4, "num_heads": 2, "context_length": 3},
        4,
        16,
        0,
    ),
]


def check(layer, arguments, units, weights, seeds):
    if keras.backend.backend() == "torch" and arguments.get("stateful"):
        pytest.skip("On torch Keras' test takes all variables but seeds for weights.")
    states = arguments.get("return_state", False)
    output_shape = (BATCH, units)
    if arguments.get("return_sequences", True):
        output_shape = (BATCH, TIME, units)
    if states:
        state_shapes = layer(**arguments).state_shapes
        output_shape = (output_shape, *((BATCH, *shape) for shape in state_shapes))
    testing.TestCase().run_layer_test(
        layer,
        init_kwargs=arguments,
        input_shape=(BATCH, TIME, FEATURES),
        expected_output_shape=output_shape,
        expected_num_trainable_weights=weights,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=seeds,
        supports_masking=True,
        run_training_check=not states,  # its loss is for one output
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Keras' test case warns by itself
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def test_keras_accepts_the_layer(case):
    check(*case)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("policy", "case"),
    (("mixed_bfloat16", CASES[3]), ("mixed_bfloat16", CASES[7]), ("mixed_float16", CASES[0])),
    ids=("bfloat16-S5Stack", "bfloat16-LRU", "float16-S5"),
)
def test_keras_accepts_the_layer_under_a_global_mixed_policy(policy, case):
    keras.config.set_dtype_policy(policy)
    try:
        check(*case)
    finally:
        keras.config.set_dtype_policy("float32")
