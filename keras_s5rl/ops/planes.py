"""Complex numbers as pairs of real planes on the last axis but one: real part 0, imaginary 1.

One plane alone is a real number: every function here takes both.
"""

from keras import ops

from keras_s5rl.ops.product import product
from keras_s5rl.typing import Tensor


def one(planes: int) -> Tensor:
    """The number 1, `(planes, 1)`."""
    return ops.reshape(ops.convert_to_tensor([1.0, 0.0][:planes], dtype="float32"), (planes, 1))


def multiply_planes(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    """The product of two numbers given as lists of planes, `[real]` or `[real, imaginary]`."""
    if len(left) == 1:
        return [left[0] * right[0]]
    (left_re, left_im), (right_re, right_im) = left, right
    return [left_re * right_re - left_im * right_im, left_re * right_im + left_im * right_re]


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """The product of two tensors `(..., planes, P)` that broadcast."""
    if left.shape[-2] == 1:
        return left * right
    left, right = ([values[..., 0, :], values[..., 1, :]] for values in (left, right))
    return ops.stack(multiply_planes(left, right), axis=-2)


def real_to_planes(inputs: Tensor, kernel: Tensor) -> Tensor:
    """The complex product `K u` of real vectors, as one real product with all planes side by side.

    Args:
        inputs: Tensor `(..., H)`; the product is computed in its dtype.
        kernel: Tensor `(H, planes, P)`.

    Returns:
        Float32 tensor `(..., planes, P)`.
    """
    features, *planes = kernel.shape
    outputs = product(inputs, ops.reshape(kernel, (features, -1)))
    return ops.reshape(outputs, (*ops.shape(inputs)[:-1], *planes))


def readout_kernel(matrix: Tensor) -> Tensor:
    """The real matrix whose product with `[Re x, Im x]` is `Re(C x)`.

    Args:
        matrix: C as planes `(2, H, P)`.

    Returns:
        `[Re C, -Im C]`, transposed: `(2 P, H)`.
    """
    return ops.transpose(ops.concatenate([matrix[0], -matrix[1]], axis=1))


def planes_to_real(states: Tensor, kernel: Tensor, dtype: str) -> Tensor:
    """`Re(C x)` as one real product.

    Args:
        states: Tensor `(..., 2, P)`.
        kernel: Tensor `(2 P, H)`, as `readout_kernel` makes it of C.
        dtype: Name of the dtype that the product is computed in.

    Returns:
        Float32 tensor `(..., H)`.
    """
    rows = ops.reshape(states, (*ops.shape(states)[:-2], kernel.shape[0]))
    return product(ops.cast(rows, dtype), kernel)
