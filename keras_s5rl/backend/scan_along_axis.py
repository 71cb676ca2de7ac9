"""`scan_in_place` where a backend has no loop in place: a scan, with time moved to the front."""

import keras
from keras import ops


def scan_in_place(function, carry, values, xs, fixed=(), reverse=False, axis=0):
    """Runs `carry, values_t = function(carry, values_t, x_t, fixed)` along an axis of two
    structures.

    Arguments and results are those of `keras_s5rl.backend.jax_kernels.scan_in_place`.
    """
    from keras_s5rl import backend  # which imports this module

    def move_time(structure):
        return keras.tree.map_structure(lambda x: ops.swapaxes(x, 0, axis), structure)

    def step(carry, inputs):
        return function(carry, inputs["values"], inputs["xs"], fixed)

    inputs = {"values": move_time(values), "xs": move_time(xs)}
    carry, values = backend.scan(step, carry, inputs, reverse=reverse)
    return carry, move_time(values)
