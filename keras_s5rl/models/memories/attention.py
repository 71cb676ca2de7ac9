"""The memory attention: a transformer over a window of the episode."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.registry import register_memory

SETTINGS = {
    "context_length": settings.count(
        128, "steps that a step sees in each layer of attention, itself among them"
    ),
    "num_heads": settings.count(4, "heads of each layer of attention; they divide width"),
}


def build(
    *,
    width: int,
    num_layers: int,
    activation: str,
    dtype: str | None,
    seed: int | None,
    context_length: int,
    num_heads: int,
) -> Any:
    from keras_s5rl.layers import CausalAttention

    return CausalAttention(
        num_layers,
        width,
        num_heads,
        context_length,
        return_state=True,
        seed=seed,
        dtype=dtype,
        name="memory",
    )


register_memory("attention", build, SETTINGS)
