"""Keras' own RNN cells with resets, for memories to build upon."""

from typing import Any


def stack_cells(
    cell_class: Any, *, width: int, num_layers: int, dtype: str | None, seed: int | None
) -> Any:
    """Returns `Resettable` of several cells, one above the other.

    Args:
        cell_class: Class of a Keras RNN cell.
        width: Positive integer, units of each cell.
        num_layers: Positive integer, the number of cells.
        dtype: String, the name of a dtype policy, or `None`.
        seed: Integer or `None`, from which all seeds are derived.
    """
    from keras_s5rl.layers import Resettable
    from keras_s5rl.layers.initializers import Orthogonal, derive_seeds

    seeds = derive_seeds(seed, 2 * num_layers)
    cells = [
        cell_class(
            width,
            kernel_initializer=Orthogonal(seed=seeds[2 * i]),
            recurrent_initializer=Orthogonal(seed=seeds[2 * i + 1]),
            dtype=dtype,
            name=f"cell_{i}",
        )
        for i in range(num_layers)
    ]
    return Resettable(cells, return_state=True, dtype=dtype, name="memory")
