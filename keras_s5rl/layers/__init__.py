"""Layers over time with resets: each has S5's call signature, `step` and `get_initial_state`."""

from keras_s5rl.layers.attention_block import AttentionBlock
from keras_s5rl.layers.causal_attention import CausalAttention
from keras_s5rl.layers.lru import LRU
from keras_s5rl.layers.min_gru import MinGRU
from keras_s5rl.layers.resettable import Resettable
from keras_s5rl.layers.residual_block import ResidualBlock
from keras_s5rl.layers.s5 import S5
from keras_s5rl.layers.s5_block import S5Block
from keras_s5rl.layers.s5_stack import S5Stack
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.layers.sequence_stack import SequenceStack

__all__ = [
    "LRU",
    "S5",
    "AttentionBlock",
    "CausalAttention",
    "MinGRU",
    "ResidualBlock",
    "Resettable",
    "S5Block",
    "S5Stack",
    "SequenceLayer",
    "SequenceStack",
]
