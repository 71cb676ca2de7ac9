"""The memory leaky: units that forget at a fixed rate, which is a setting of its own."""

from typing import Any

from keras_s5rl.models import register_memory, settings


def build(
    *,
    width: int,
    num_layers: int,
    activation: str,
    dtype: str | None,
    seed: int | None,
    leak: float,
) -> Any:
    from keras_s5rl.layers import Resettable
    from my_lab.leaky_cell import LeakyCell

    seeds = [None if seed is None else seed + layer for layer in range(num_layers)]
    cells = [LeakyCell(width, leak, layer_seed, dtype=dtype) for layer_seed in seeds]
    return Resettable(cells, return_state=True, dtype=dtype, name="memory")


register_memory("leaky", build, {"leak": settings.fraction(0.5, "share forgotten in a step")})
