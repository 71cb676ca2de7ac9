"""Products of activations with weights."""

from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.rowwise import rowwise
from keras_s5rl.typing import Tensor


def product(inputs: Tensor, kernel: Tensor) -> Tensor:
    """The product of inputs with any leading axes and a matrix of weights, accumulated in float32.

        y = x W

    Operands are rounded to the dtype of the inputs, the sum and the gradient for the kernel are
    not: under `mixed_bfloat16` a processor with such products takes them at full speed, and nothing
    is rounded that need not be.

    Args:
        inputs: Tensor `(..., features)`, of any float dtype.
        kernel: Float32 tensor or variable `(features, units)`.

    Returns:
        Float32 tensor `(..., units)`.

    Example:

    >>> import keras
    >>> from keras import ops
    >>> from keras_s5rl.ops import product
    >>> outputs = product(ops.ones((4, 2, 5), dtype="bfloat16"), ops.ones((5, 3)))
    >>> tuple(outputs.shape), keras.backend.standardize_dtype(outputs.dtype)
    ((4, 2, 3), 'float32')
    """
    kernel = ops.convert_to_tensor(kernel)
    return rowwise(lambda rows: backend.product(rows, kernel), inputs)
