"""Layers over time with resets: each has S5's call signature, `step` and `get_initial_state`."""

from keras_s5rl.layers.resettable import Resettable
from keras_s5rl.layers.s5 import S5
from keras_s5rl.layers.s5_block import S5Block
from keras_s5rl.layers.s5_stack import S5Stack
from keras_s5rl.layers.sequence_layer import SequenceLayer

__all__ = ["S5", "Resettable", "S5Block", "S5Stack", "SequenceLayer"]
