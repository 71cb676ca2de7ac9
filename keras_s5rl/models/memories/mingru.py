"""The memory mingru: minimal GRUs in the blocks in which S5 stands."""

from typing import Any

from keras_s5rl.models.memories.blocks import BLOCK_SETTINGS, stack_blocks
from keras_s5rl.models.memories.registry import register_memory


def build(*, width: int, dtype: str | None, activation: str, **stack_arguments: Any) -> Any:
    from keras_s5rl.layers import MinGRU

    def make_layer(seed: int) -> Any:
        return MinGRU(width, seed=seed, dtype=dtype, name="min_gru")

    return stack_blocks(make_layer, width=width, dtype=dtype, **stack_arguments)


register_memory("mingru", build, BLOCK_SETTINGS)
