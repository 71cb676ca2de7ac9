"""Layer normalisation, written so that XLA fuses it."""

import keras
from keras import ops


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

    def call(self, inputs):
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        outputs = _normalize(ops.cast(inputs, "float32"), gamma, beta, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)


def _normalize(inputs, gamma, beta, epsilon):
    """The normalised last axis.

    With the upstream gradient g, the normalised inputs n and h = gamma g, the gradient for x is

        (h - mean(h) - n mean(h n)) / sqrt(variance + epsilon)
    """

    @ops.custom_gradient
    def normalize(inputs, gamma, beta):
        mean = ops.mean(inputs, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(inputs - mean), axis=-1, keepdims=True)
        scale = ops.rsqrt(variance + epsilon)

        def gradient(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            leading = tuple(range(len(upstream.shape) - 1))
            normalized = (inputs - mean) * scale
            for_gamma = upstream * normalized
            # The means of a row are products with a vector, which read what the sums over all rows
            # read too; written as sums each would multiply on its own.
            weights = ops.expand_dims(gamma, -1) / gamma.shape[0]
            mean_h, mean_hn = (ops.matmul(values, weights) for values in (upstream, for_gamma))
            for_inputs = scale * (gamma * upstream - mean_h - normalized * mean_hn)
            return for_inputs, ops.sum(for_gamma, axis=leading), ops.sum(upstream, axis=leading)

        return (inputs - mean) * scale * gamma + beta, gradient

    return normalize(inputs, gamma, beta)
