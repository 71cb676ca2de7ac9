"""The memory lstm: LSTMs, with resets."""

from typing import Any

from keras_s5rl.models.memories.gated_layers import stack_gated_layers
from keras_s5rl.models.memories.registry import register_memory


def build(*, activation: str, **stack_arguments: Any) -> Any:
    from keras_s5rl.layers import LSTM

    return stack_gated_layers(LSTM, **stack_arguments)


register_memory("lstm", build)
