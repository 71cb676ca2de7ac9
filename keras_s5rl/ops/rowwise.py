"""Products on rank 2, where XLA's gradients of them are fast."""

from collections.abc import Callable

from keras import ops

from keras_s5rl.typing import Tensor


def rowwise(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Applies a function of rows `(rows, features)` to a tensor with any leading axes.

    XLA computes the weight gradient of a rank-3 product on a CPU more slowly than that of the same
    product at rank 2, so every large product of the package goes through here.

    Args:
        function: Function, or layer, from `(rows, features)` to `(rows, units)`.
        inputs: Tensor `(..., features)`.

    Returns:
        Tensor `(..., units)`.

    Example:

    >>> import keras
    >>> from keras_s5rl.ops import rowwise
    >>> tuple(rowwise(keras.layers.Dense(3), keras.ops.ones((4, 2, 5))).shape)
    (4, 2, 3)
    """
    if len(inputs.shape) == 2:
        return function(inputs)
    leading = ops.shape(inputs)[:-1]
    outputs = function(ops.reshape(inputs, (-1, inputs.shape[-1])))
    return ops.reshape(outputs, (*leading, outputs.shape[-1]))
