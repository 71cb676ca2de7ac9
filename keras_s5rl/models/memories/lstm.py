"""The memory lstm: Keras' LSTM cells, with resets."""

from typing import Any

from keras_s5rl.models.memories.cells import stack_cells
from keras_s5rl.models.memories.registry import register_memory


def build(*, activation: str, **stack_arguments: Any) -> Any:
    import keras

    return stack_cells(keras.layers.LSTMCell, **stack_arguments)


register_memory("lstm", build)
