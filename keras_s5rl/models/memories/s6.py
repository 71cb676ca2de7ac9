"""The memory s6: Mamba's selective state spaces in the blocks in which S5 stands."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.blocks import BLOCK_SETTINGS, stack_blocks
from keras_s5rl.models.memories.registry import register_memory

_SETTINGS = {
    "state_size": settings.count(16, "real states of each feature of an S6 layer"),
    "dt_rank": settings.optional(
        settings.count(1, "rank of the map to S6's time steps; none for a sixteenth of width")
    ),
    "dt_min": settings.positive(1e-3, "smallest initial time step of S6"),
    "dt_max": settings.positive(1e-1, "largest initial time step of S6"),
}


def build(
    *, width: int, dtype: str | None, activation: str, norm: str | None, **arguments: Any
) -> Any:
    from keras_s5rl.layers import SelectiveSSM

    ssm_arguments = {name: arguments.pop(name) for name in _SETTINGS}

    def make_layer(seed: int) -> Any:
        return SelectiveSSM(width, **ssm_arguments, seed=seed, dtype=dtype, name="s6")

    return stack_blocks(make_layer, width=width, dtype=dtype, norm=norm, **arguments)


register_memory("s6", build, {**_SETTINGS, **BLOCK_SETTINGS})
