"""The memory gru: GRUs, with resets."""

from typing import Any

from keras_s5rl.models.memories.gated_layers import stack_gated_layers
from keras_s5rl.models.memories.registry import register_memory


def build(*, activation: str, **stack_arguments: Any) -> Any:
    from keras_s5rl.layers import GRU

    return stack_gated_layers(GRU, **stack_arguments)


register_memory("gru", build)
