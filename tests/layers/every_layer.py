"""One of each kind of layer with resets, as functions of the arguments that all of them have."""

import keras

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

LAYERS = {
    "S5": lambda **k: S5(state_size=8, **k),
    "S5Block": lambda **k: S5Block("half_glu2", norm="post", state_size=8, **k),
    "S5Stack": lambda **k: S5Stack(2, 5, norm="pre", state_size=8, **k),
    "LSTM": lambda **k: Resettable(keras.layers.LSTMCell(4), **k),
    "blocks of two kinds": lambda **k: SequenceStack(
        [
            ResidualBlock(S5(state_size=8, dtype=k.get("dtype")), dtype=k.get("dtype")),
            ResidualBlock(Resettable(keras.layers.LSTMCell(4)), "gelu", norm="pre"),
        ],
        width=4,
        normalize_output=True,
        **k,
    ),
    "LRU": lambda **k: LRU(4, **k),
    "MinGRU": lambda **k: MinGRU(5, **k),
    "CausalAttention": lambda **k: CausalAttention(2, 4, num_heads=2, context_length=3, **k),
    "stacked cells": lambda **k: Resettable(
        [keras.layers.LSTMCell(4), keras.layers.GRUCell(5)], **k
    ),
    # Several layers in one program: compiling is most of what these tests cost.
    "S6, SHM and FFM": lambda **k: SequenceStack(
        [layer(4, 3, dtype=k.get("dtype")) for layer in (SelectiveSSM, SHM, FFM)], width=4, **k
    ),
    "GRU, LSTM and gated attention": lambda **k: SequenceStack(
        [
            GRU(4, dtype=k.get("dtype")),
            LSTM(4, dtype=k.get("dtype")),
            GatedAttentionBlock(4, num_heads=2, context_length=3, dtype=k.get("dtype")),
        ],
        width=None,
        **k,
    ),
}

# One of each way in which layers are put together, enough for tests of the code that all share.
KINDS = {name: LAYERS[name] for name in ("S5", "S5Stack", "LSTM", "CausalAttention")}
