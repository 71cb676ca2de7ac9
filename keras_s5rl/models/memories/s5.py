"""The memory s5: the layer of the paper in its blocks."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.blocks import BLOCK_SETTINGS
from keras_s5rl.models.memories.registry import register_memory


def build(**stack_arguments: Any) -> Any:
    return make_stack(return_state=True, name="memory", **stack_arguments)


def make_stack(
    *,
    width: int,
    num_layers: int,
    activation: str,
    dtype: str | None,
    seed: int | None,
    block_activation: str,
    **s5_arguments: Any,
) -> Any:
    """Returns an `S5Stack`, given the arguments of `build` and others of its own."""
    from keras_s5rl.layers import S5Stack

    return S5Stack(
        num_layers,
        width,
        activation=block_activation,
        seed=seed,
        dtype=dtype,
        **s5_arguments,
    )


register_memory(
    "s5",
    build,
    {
        "state_size": settings.count(
            64, "real state entries of each S5 layer: half as many complex numbers", multiple_of=2
        ),
        **BLOCK_SETTINGS,
        "clip_eigenvalues": settings.flag(
            True, "keep the real parts of S5's eigenvalues below -1e-4, so that no state grows"
        ),
        "dt_min": settings.positive(1e-3, "smallest initial time step of S5"),
        "dt_max": settings.positive(1e-1, "largest initial time step of S5"),
    },
)
