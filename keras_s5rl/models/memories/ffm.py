"""The memory ffm: layers of fast and forgetful memory, one above the other."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.registry import register_memory


def build(
    *,
    width: int,
    num_layers: int,
    activation: str,
    dtype: str | None,
    seed: int | None,
    **layer_arguments: Any,
) -> Any:
    from keras_s5rl.layers import FFM, SequenceStack
    from keras_s5rl.layers.initializers import derive_seeds

    # Each layer has its own way around the memory and its own gates: no block is needed.
    layers = [
        FFM(width, **layer_arguments, seed=layer_seed, dtype=dtype, name=f"layer_{index}")
        for index, layer_seed in enumerate(derive_seeds(seed, num_layers))
    ]
    return SequenceStack(layers, width=None, return_state=True, dtype=dtype, name="memory")


register_memory(
    "ffm",
    build,
    {
        "memory_size": settings.count(32, "traces of each FFM layer"),
        "context_size": settings.count(4, "frequencies of each trace of FFM"),
    },
)
