"""The memory shm: stable Hadamard memories in the blocks in which S5 stands."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.blocks import BLOCK_SETTINGS, stack_blocks
from keras_s5rl.models.memories.registry import register_memory


def build(
    *, width: int, dtype: str | None, activation: str, matrix_size: int, **stack_arguments: Any
) -> Any:
    from keras_s5rl.layers import SHM

    def make_layer(seed: int) -> Any:
        return SHM(width, matrix_size, seed=seed, dtype=dtype, name="shm")

    return stack_blocks(make_layer, width=width, dtype=dtype, **stack_arguments)


register_memory(
    "shm",
    build,
    {
        "matrix_size": settings.count(16, "rows and columns of the matrix of each SHM layer"),
        **BLOCK_SETTINGS,
    },
)
