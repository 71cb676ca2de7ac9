"""Features multiplied by weights, each by its own."""

from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Tensor


def scale(inputs: Tensor, factors: Tensor) -> Tensor:
    """`inputs * factors` along the last axis in float32, as for a diagonal matrix of weights.

    The gradient for the factors, a sum over all rows of `inputs` times the upstream gradient, is
    written as a product with ones: XLA's CPU compiler multiplies and adds in one operation
    otherwise, which is slower than its products.

    Args:
        inputs: Tensor `(..., features)`, of any float dtype.
        factors: Float32 tensor or variable `(features,)`.

    Returns:
        Float32 tensor `(..., features)`.

    Example:

    >>> from keras import ops
    >>> from keras_s5rl.ops import scale
    >>> ops.convert_to_numpy(scale(ops.ones((1, 2)), ops.convert_to_tensor([2.0, 3.0]))).tolist()
    [[2.0, 3.0]]
    """

    # A cast makes tensors of variables: custom derivatives take none of those.
    return _multiply((ops.cast(inputs, "float32"), ops.cast(factors, "float32")))


def _product(arguments: Tensor, constants: Tensor) -> Tensor:
    inputs, factors = arguments
    return inputs * factors


def _tangent(arguments: Tensor, constants: Tensor, result: Tensor, tangents: Tensor) -> Tensor:
    (inputs, factors), (inputs_tangent, factors_tangent) = arguments, tangents
    return inputs_tangent * factors + inputs * factors_tangent


def _gradient(
    arguments: Tensor, constants: Tensor, result: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor]:
    inputs, factors = arguments
    rows = ops.reshape(inputs * upstream, (-1, factors.shape[0]))
    ones = ops.ones_like(rows[:, :1])
    return upstream * factors, ops.matmul(ops.transpose(ones), rows)[0]


_multiply = backend.custom_derivatives(_product, _tangent, _gradient)
