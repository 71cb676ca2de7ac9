"""Layer normalisation, written so that XLA fuses it."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class RowNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, in fewer passes over memory.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    On a CPU the operation of Keras lays out gamma and the variance over all rows before it
    multiplies, and so does the gradient that XLA derives: this one is written out. Statistics are
    float32 under every dtype policy.

    Args:
        **kwargs: Arguments of `keras.layers.LayerNormalization`; `axis` stays `-1`.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers.row_normalization import RowNormalization
    >>> tuple(RowNormalization()(np.ones((4, 3), "float32")).shape)
    (4, 3)
    """

    def call(self, inputs: Tensor) -> Tensor:
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        outputs = _normalization(self.epsilon)((ops.cast(inputs, "float32"), gamma, beta))
        return ops.cast(outputs, self.compute_dtype)


def _normalize(epsilon: float, arguments: Tensor, constants: Tensor) -> Tensor:
    inputs, gamma, beta = arguments
    return _normalized(inputs, epsilon)[0] * gamma + beta


def _tangent(
    epsilon: float, arguments: Tensor, constants: Tensor, result: Tensor, tangents: Tensor
) -> Tensor:
    """With the normalised inputs n and `'` for tangents, `n' = (x' - mean(x') - n mean(n x')) /
    sqrt(variance + epsilon)`."""
    inputs, gamma, _ = arguments
    inputs_tangent, gamma_tangent, beta_tangent = tangents
    normalized, scale = _normalized(inputs, epsilon)
    along = ops.mean(normalized * inputs_tangent, axis=-1, keepdims=True)
    mean = ops.mean(inputs_tangent, axis=-1, keepdims=True)
    turned = scale * (inputs_tangent - mean - normalized * along)
    return gamma * turned + gamma_tangent * normalized + beta_tangent


def _gradient(
    epsilon: float, arguments: Tensor, constants: Tensor, result: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """With the upstream gradient g, the normalised inputs n and h = gamma g, the gradient for x is

    (h - mean(h) - n mean(h n)) / sqrt(variance + epsilon)
    """
    inputs, gamma, _ = arguments
    normalized, scale = _normalized(inputs, epsilon)
    leading = tuple(range(len(upstream.shape) - 1))
    for_gamma = upstream * normalized
    # The means of a row are products with a vector, which read what the sums over all rows read
    # too; written as sums each would multiply on its own.
    weights = ops.expand_dims(gamma, -1) / gamma.shape[0]
    mean_h, mean_hn = (ops.matmul(values, weights) for values in (upstream, for_gamma))
    for_inputs = scale * (gamma * upstream - mean_h - normalized * mean_hn)
    return for_inputs, ops.sum(for_gamma, axis=leading), ops.sum(upstream, axis=leading)


def _normalized(inputs: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The normalised last axis, and the reciprocal of its standard deviation."""
    centred = inputs - ops.mean(inputs, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    scale = ops.rsqrt(variance + epsilon)
    return centred * scale, scale


@functools.cache
def _normalization(epsilon: float) -> Callable[..., Any]:
    """The normalisation with its derivatives, made once so that a backend compiles it once."""
    written = (functools.partial(f, epsilon) for f in (_normalize, _tangent, _gradient))
    return backend.custom_derivatives(*written)
