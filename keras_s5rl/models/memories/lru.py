"""The memory lru: linear recurrent units in the blocks in which S5 stands."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.blocks import BLOCK_SETTINGS, stack_blocks
from keras_s5rl.models.memories.registry import register_memory


def build(*, dtype: str | None, activation: str, state_size: int, **stack_arguments: Any) -> Any:
    from keras_s5rl.layers import LRU

    def make_layer(seed: int) -> Any:
        # Half as many complex states as S5 has eigenvalues, whose other half are conjugates.
        return LRU(state_size // 2, r_min=0.9, r_max=0.999, seed=seed, dtype=dtype, name="lru")

    return stack_blocks(make_layer, dtype=dtype, **stack_arguments)


register_memory(
    "lru",
    build,
    {
        "state_size": settings.count(
            64, "real state entries of each LRU: half as many complex numbers", multiple_of=2
        ),
        **BLOCK_SETTINGS,
    },
)
