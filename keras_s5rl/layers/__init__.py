"""Layers over time with resets: each has S5's call signature, `step` and `get_initial_state`.

Names are looked up when they are first used (PEP 562): the import itself imports no Keras.
"""

from typing import TYPE_CHECKING

from keras_s5rl import lazy

__all__ = [
    "FFM",
    "GRU",
    "LRU",
    "LSTM",
    "S5",
    "SHM",
    "AttentionBlock",
    "CausalAttention",
    "EquivariantMemory",
    "GatedAttentionBlock",
    "MinGRU",
    "ResidualBlock",
    "Resettable",
    "S5Block",
    "S5Stack",
    "SelectiveSSM",
    "SequenceLayer",
    "SequenceStack",
    "SystemIdentification",
    "WithoutResets",
]

if TYPE_CHECKING:
    from keras_s5rl.layers.attention_block import AttentionBlock
    from keras_s5rl.layers.causal_attention import CausalAttention
    from keras_s5rl.layers.equivariant_memory import EquivariantMemory
    from keras_s5rl.layers.ffm import FFM
    from keras_s5rl.layers.gated_attention_block import GatedAttentionBlock
    from keras_s5rl.layers.gru import GRU
    from keras_s5rl.layers.lru import LRU
    from keras_s5rl.layers.lstm import LSTM
    from keras_s5rl.layers.min_gru import MinGRU
    from keras_s5rl.layers.resettable import Resettable
    from keras_s5rl.layers.residual_block import ResidualBlock
    from keras_s5rl.layers.s5 import S5
    from keras_s5rl.layers.s5_block import S5Block
    from keras_s5rl.layers.s5_stack import S5Stack
    from keras_s5rl.layers.selective_ssm import SelectiveSSM
    from keras_s5rl.layers.sequence_layer import SequenceLayer
    from keras_s5rl.layers.sequence_stack import SequenceStack
    from keras_s5rl.layers.shm import SHM
    from keras_s5rl.layers.system_identification import SystemIdentification
    from keras_s5rl.layers.without_resets import WithoutResets
else:
    __getattr__, __dir__ = lazy.attach(
        __name__,
        {
            "attention_block": "AttentionBlock",
            "causal_attention": "CausalAttention",
            "equivariant_memory": "EquivariantMemory",
            "ffm": "FFM",
            "gated_attention_block": "GatedAttentionBlock",
            "gru": "GRU",
            "lru": "LRU",
            "lstm": "LSTM",
            "min_gru": "MinGRU",
            "resettable": "Resettable",
            "residual_block": "ResidualBlock",
            "s5": "S5",
            "s5_block": "S5Block",
            "s5_stack": "S5Stack",
            "selective_ssm": "SelectiveSSM",
            "sequence_layer": "SequenceLayer",
            "sequence_stack": "SequenceStack",
            "shm": "SHM",
            "system_identification": "SystemIdentification",
            "without_resets": "WithoutResets",
        },
    )
