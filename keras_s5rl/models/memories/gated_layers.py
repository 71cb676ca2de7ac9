"""Gated layers one above the other, for memories to build upon."""

from typing import Any


def stack_gated_layers(
    layer_class: Any, *, width: int, num_layers: int, dtype: str | None, seed: int | None
) -> Any:
    """Returns a `SequenceStack` of gated layers alone.

    Weights, their order and their initial values are those of `Resettable` around Keras' own cells,
    which these memories were before: their checkpoints fit.

    Args:
        layer_class: `GRU` or `LSTM` of `keras_s5rl.layers`.
        width: Positive integer, units of each layer.
        num_layers: Positive integer, the number of layers.
        dtype: String, the name of a dtype policy, or `None`.
        seed: Integer or `None`, from which all seeds are derived.
    """
    from keras_s5rl.layers import SequenceStack
    from keras_s5rl.layers.initializers import Orthogonal, derive_seeds

    seeds = derive_seeds(seed, 2 * num_layers)
    layers = [
        layer_class(
            width,
            kernel_initializer=Orthogonal(seed=seeds[2 * i]),
            recurrent_initializer=Orthogonal(seed=seeds[2 * i + 1]),
            dtype=dtype,
            name=f"layer_{i}",
        )
        for i in range(num_layers)
    ]
    return SequenceStack(layers, width=None, return_state=True, dtype=dtype, name="memory")
