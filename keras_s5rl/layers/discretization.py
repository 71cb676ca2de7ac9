"""From continuous time to steps: how much of the state stays, and of the input comes in."""

from keras import ops

from keras_s5rl.typing import Tensor


def zero_order_hold(
    eigenvalue: tuple[Tensor, Tensor], step: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """`exp(z)` and `(exp(z) - 1) / lambda` for `z = lambda * step`: input constant over a step.

    Args:
        eigenvalue: Pair of float32 tensors `(P,)`, real and imaginary parts of lambda.
        step: Float32 tensor `(..., P)`, the length of the step.

    Returns:
        `(decay, gain)`, each a pair of float32 tensors `(..., P)`.
    """
    real, imag = eigenvalue
    growth, angle = real * step, imag * step
    radius = ops.exp(growth)
    decay = (radius * ops.cos(angle), radius * ops.sin(angle))
    # exp(z) - 1 without cancellation for short steps
    half = ops.sin(0.5 * angle)
    rise = ops.expm1(growth) * ops.cos(angle) - 2.0 * half * half
    return decay, _divide((rise, decay[1]), eigenvalue)


def bilinear(
    eigenvalue: tuple[Tensor, Tensor], step: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """`(1 + z/2) / (1 - z/2)` and `step / (1 - z/2)` for `z = lambda * step`: the trapezoidal rule.

    Args:
        eigenvalue: Pair of float32 tensors `(P,)`, real and imaginary parts of lambda.
        step: Float32 tensor `(..., P)`, the length of the step.

    Returns:
        `(decay, gain)`, each a pair of float32 tensors `(..., P)`.
    """
    half_re, half_im = 0.5 * eigenvalue[0] * step, 0.5 * eigenvalue[1] * step
    denominator = (1.0 - half_re, -half_im)
    decay = _divide((1.0 + half_re, half_im), denominator)
    return decay, _divide((step, ops.zeros_like(step)), denominator)


def _divide(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The complex quotient of two pairs."""
    scale = 1.0 / (right[0] * right[0] + right[1] * right[1])
    return (
        (left[0] * right[0] + left[1] * right[1]) * scale,
        (left[1] * right[0] - left[0] * right[1]) * scale,
    )


DISCRETIZATIONS = {"zoh": zero_order_hold, "bilinear": bilinear}
