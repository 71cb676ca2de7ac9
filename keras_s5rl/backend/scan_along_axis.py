"""`scan_in_place` where a backend has no loop in place: a scan, with time moved to the front."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s5rl.typing import Structure, Tensor


def scan_in_place(
    function: Callable[..., Any],
    carry: Structure,
    values: Structure,
    xs: Structure,
    fixed: Structure = (),
    reverse: bool = False,
    axis: int = 0,
) -> tuple[Structure, Structure]:
    """Runs `carry, values_t = function(carry, values_t, x_t, fixed)` along an axis of two
    structures.

    Arguments and results are those of `keras_s5rl.backend.jax_kernels.scan_in_place`.
    """
    from keras_s5rl import backend  # which imports this module

    def move_time(structure: Structure) -> Tensor:
        return keras.tree.map_structure(lambda x: ops.swapaxes(x, 0, axis), structure)

    def step(carry: Structure, inputs: Tensor) -> Tensor:
        return function(carry, inputs["values"], inputs["xs"], fixed)

    inputs = {"values": move_time(values), "xs": move_time(xs)}
    carry, values = backend.scan(step, carry, inputs, reverse=reverse)
    return carry, move_time(values)
