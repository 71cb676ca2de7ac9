"""Any recurrence in the blocks in which S5 stands, for memories to build upon."""

from collections.abc import Callable
from typing import Any

from keras_s5rl.models import settings

BLOCK_SETTINGS = {
    "norm": settings.optional(
        settings.choice(
            "pre", "layer normalisation before or after each block, or none", ("pre", "post")
        ),
        default="pre",
    ),
    "block_activation": settings.choice(
        "full_glu", "gate of each block", ("full_glu", "half_glu1", "half_glu2", "gelu")
    ),
}


def stack_blocks(
    make_layer: Callable[[int], Any],
    *,
    width: int,
    num_layers: int,
    dtype: str | None,
    seed: int | None,
    norm: str | None,
    block_activation: str,
) -> Any:
    """Returns a `SequenceStack` of residual blocks.

    Args:
        make_layer: Function of a seed; returns the recurrence of a block.
        width: Positive integer, features between the blocks.
        num_layers: Positive integer, the number of blocks.
        dtype: String, the name of a dtype policy, or `None`.
        seed: Integer or `None`, from which all seeds are derived.
        norm: `"pre"`, `"post"` or `None`.
        block_activation: String, the gate of each block.
    """
    from keras_s5rl.layers import ResidualBlock, SequenceStack
    from keras_s5rl.layers.initializers import derive_seeds

    stack_seed, *seeds = derive_seeds(seed, 1 + 2 * num_layers)
    blocks = [
        ResidualBlock(
            make_layer(seeds[2 * i]),
            block_activation,
            norm,
            seed=seeds[2 * i + 1],
            dtype=dtype,
            name=f"block_{i}",
        )
        for i in range(num_layers)
    ]
    return SequenceStack(
        blocks,
        width,
        normalize_output=norm == "pre",
        return_state=True,
        seed=stack_seed,
        dtype=dtype,
        name="memory",
    )
