"""Features multiplied by weights, each by its own."""

from keras import ops


def scale(inputs, factors):
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

    @ops.custom_gradient
    def multiply(inputs, factors):
        def gradient(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            rows = ops.reshape(inputs * upstream, (-1, factors.shape[0]))
            ones = ops.ones_like(rows[:, :1])
            return upstream * factors, ops.matmul(ops.transpose(ones), rows)[0]

        return inputs * factors, gradient

    # A cast makes tensors of variables: custom gradients of TensorFlow take none of those.
    return multiply(ops.cast(inputs, "float32"), ops.cast(factors, "float32"))
