"""The memory mlp: dense layers, which remember nothing."""

from typing import Any

from keras_s5rl.models.memories.registry import register_memory


def build(
    *, width: int, num_layers: int, activation: str, dtype: str | None, seed: int | None
) -> Any:
    from keras_s5rl.models.feed_forward import FeedForward

    return FeedForward(
        num_layers, width, activation=activation, seed=seed, dtype=dtype, name="memory"
    )


register_memory("mlp", build)
