"""How long the states of a layer remember."""

from typing import Any

import numpy as np
from keras import ops

from keras_s5rl.layers.lru import LRU
from keras_s5rl.layers.s5 import S5
from keras_s5rl.typing import Array

_PRECISION = np.finfo("float32").eps
_SMALLEST = np.finfo("float32").tiny


def time_constants(model: Any) -> list[tuple[str, Array]]:
    """Returns the time constants of the states of every `S5` and `LRU` in a layer or model.

    A state of such a layer is multiplied by `exp(lambda dt)` in each step. The steps in which what
    it holds falls to 1/e of its size are

        tau = -1 / log|exp(lambda dt)|     which is -1 / (Re(lambda) dt)

    and infinite where it does not fall.

    Args:
        model: Keras layer or model, built.

    Returns:
        List of pairs of a path, the layer's among Keras' weights, and a float64 array `(states,)`
        of steps.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Stack
    >>> from keras_s5rl.layers.time_constants import time_constants
    >>> stack = S5Stack(num_layers=2, width=4, state_size=8)
    >>> _ = stack(np.ones((1, 2, 3), "float32"))
    >>> [steps.shape for _, steps in time_constants(stack)]
    [(4,), (4,)]
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, LRU | S5)]
    return [(layer.path, _time_constants(layer)) for layer in layers]


def _time_constants(layer: Any) -> Array:
    decay = ops.convert_to_numpy(layer.derive_weights()[0]).astype("float64")
    rate = -np.log(np.maximum(np.hypot(decay[0], decay[1]), _SMALLEST))
    # A float32 decay cannot tell a smaller rate from none.
    return np.where(rate > _PRECISION, 1 / np.maximum(rate, _PRECISION), np.inf)
