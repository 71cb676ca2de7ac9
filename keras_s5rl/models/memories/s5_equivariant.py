"""The memory s5_equivariant: S5 behind an identification of the system, for `projected_control`."""

from typing import Any

from keras_s5rl.models import settings
from keras_s5rl.models.memories.registry import memory_settings, register_memory
from keras_s5rl.models.memories.s5 import make_stack


def build(
    *,
    width: int,
    activation: str,
    dtype: str | None,
    seed: int | None,
    projected_size: int,
    num_directions: int,
    drift: float,
    **stack_arguments: Any,
) -> Any:
    from keras_s5rl.layers import EquivariantMemory
    from keras_s5rl.layers.initializers import derive_seeds

    own_seed, stack_seed = derive_seeds(seed, 2)
    stack = make_stack(
        width=width,
        activation=activation,
        dtype=dtype,
        seed=stack_seed,
        name="stack",
        **stack_arguments,
    )
    # Of float32 whatever the policy: what comes in is identified.
    return EquivariantMemory(
        stack,
        projected_size,
        drift,
        num_directions=num_directions,
        encoder_sizes=(width, width),
        encoder_activation=activation,
        return_state=True,
        seed=own_seed,
        dtype="float32",
        name="memory",
    )


register_memory(
    "s5_equivariant",
    build,
    {
        **memory_settings("s5"),
        "projected_size": settings.count(12, "numbers of the projected observation"),
        "num_directions": settings.count(16, "directions of the action that the actor weighs"),
        "drift": settings.positive(
            0.1, "variance by which a parameter of the identified system drifts in a step"
        ),
    },
)
