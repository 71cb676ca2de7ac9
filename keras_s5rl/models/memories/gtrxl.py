"""The memory gtrxl: a transformer over a window of the episode, with gates for residual sums."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.attention import SETTINGS
from keras_s5rl.models.memories.registry import register_memory


def build(
    *,
    width: int,
    num_layers: int,
    activation: str,
    dtype: str | None,
    seed: int | None,
    **block_arguments: Any,
) -> Any:
    from keras_s5rl.layers import GatedAttentionBlock, SequenceStack
    from keras_s5rl.layers.initializers import derive_seeds

    stack_seed, *seeds = derive_seeds(seed, 1 + num_layers)
    blocks = [
        GatedAttentionBlock(
            width, **block_arguments, seed=block_seed, dtype=dtype, name=f"block_{index}"
        )
        for index, block_seed in enumerate(seeds)
    ]
    return SequenceStack(
        blocks,
        width,
        normalize_output=True,
        return_state=True,
        seed=stack_seed,
        dtype=dtype,
        name="memory",
    )


register_memory(
    "gtrxl",
    build,
    {
        **SETTINGS,
        "gate_bias": settings.number(2.0, "how far the gates of gtrxl are shut at first"),
    },
)
