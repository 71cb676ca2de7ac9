"""The clipped losses of PPO.

Losses are means over the values of one device, whose gradients are averaged later; what values are
normalised by is that of all devices that run the program together. Where `valid` is given, a bool
tensor of the shape of the values, the others count for nothing.
"""

from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Tensor


def mean(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """The mean of the values that are valid, a float32 scalar."""
    if valid is None:
        return ops.mean(values)
    return ops.sum(ops.where(valid, values, 0.0)) / ops.maximum(
        ops.sum(ops.cast(valid, "float32")), 1.0
    )


def policy_loss(
    log_ratio: Tensor, advantage: Tensor, clip_epsilon: float, valid: Tensor | None = None
) -> Tensor:
    """Clipped surrogate loss, `-mean(min(r A, clip(r, 1 - eps, 1 + eps) A))` with `r =
    exp(log_ratio)`.

    Args:
        log_ratio: float32 tensor of any shape, new minus old log-probability of the action taken.
        advantage: float32 tensor of the same shape.
        clip_epsilon: Positive number.
        valid: bool tensor of the same shape, or `None` if all values count. Defaults to `None`.

    Returns:
        float32 scalar.

    Reference:
    - Schulman et al., "Proximal policy optimization algorithms", 2017, equation 7.
    """
    ratio = ops.exp(log_ratio)
    clipped = ops.clip(ratio, 1.0 - clip_epsilon, 1.0 + clip_epsilon)
    return -mean(ops.minimum(ratio * advantage, clipped * advantage), valid)


def value_loss(
    value: Tensor,
    old_value: Tensor,
    value_target: Tensor,
    value_clip: float | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Half the mean squared error of the critic.

    With `value_clip`, the larger of the errors of the value and of the value kept within
    `value_clip` of the old one.

    Args:
        value: float32 tensor of any shape, the critic now.
        old_value: float32 tensor of the same shape, the critic when the rollout was made.
        value_target: float32 tensor of the same shape, advantage plus old value.
        value_clip: Positive number, or `None` for no clipping. Defaults to `None`.
        valid: bool tensor of the same shape, or `None` if all values count. Defaults to `None`.

    Returns:
        float32 scalar.
    """
    error = ops.square(value - value_target)
    if value_clip is not None:
        clipped = old_value + ops.clip(value - old_value, -value_clip, value_clip)
        error = ops.maximum(error, ops.square(clipped - value_target))
    return 0.5 * mean(error, valid)


def approximate_kl(log_ratio: Tensor, valid: Tensor | None = None) -> Tensor:
    """Estimate of KL(old || new), `mean(r - 1 - log r)`: never negative, of low variance. A float32
    scalar, in nats.

    Reference:
    - Schulman, "Approximating KL divergence", 2020.
    """
    return mean(ops.exp(log_ratio) - 1.0 - log_ratio, valid)


def clip_fraction(log_ratio: Tensor, clip_epsilon: float, valid: Tensor | None = None) -> Tensor:
    """Share of the ratios further than `clip_epsilon` from 1, a float32 scalar."""
    outside = ops.abs(ops.exp(log_ratio) - 1.0) > clip_epsilon
    return mean(ops.cast(outside, "float32"), valid)


def normalize(advantage: Tensor, valid: Tensor | None = None) -> Tensor:
    """Returns the advantages of each minibatch shifted and scaled to mean 0 and variance 1.

    Args:
        advantage: float32 tensor `(minibatches, batch, time)`.
        valid: bool tensor of the same shape, or `None` if all values count. Defaults to `None`.
    """

    def mean_of_each(values: Tensor) -> Tensor:
        if valid is None:
            return backend.devices.mean(ops.mean(values, axis=(1, 2), keepdims=True))
        total, count = (
            ops.sum(tensor, axis=(1, 2), keepdims=True)
            for tensor in (ops.where(valid, values, 0.0), ops.cast(valid, "float32"))
        )
        return total / ops.maximum(count, 1.0)

    centred = advantage - mean_of_each(advantage)
    return centred / (ops.sqrt(mean_of_each(ops.square(centred))) + 1e-8)


def normalize_groups(values: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Returns `values` with mean 0 and standard deviation 1 in each group.

    Args:
        values: float32 tensor of any shape.
        group: int32 tensor of the same shape, the group of each value.
        num_groups: Integer; groups are numbered from 0.

    Returns:
        float32 tensor of the same shape.
    """
    member = ops.one_hot(group, num_groups, dtype="float32")

    def sum_of_group(tensor: Tensor) -> Tensor:
        return backend.devices.sum(ops.sum(tensor, axis=tuple(range(len(group.shape)))))

    count = ops.maximum(sum_of_group(member), 1.0)
    mean = sum_of_group(member * values[..., None]) / count
    centred = values - ops.sum(member * mean, axis=-1)
    variance = sum_of_group(member * ops.square(centred)[..., None]) / count
    return centred / (ops.sum(member * ops.sqrt(variance), axis=-1) + 1e-8)


def explained_variance(value: Tensor, value_target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Share of the variance of the returns that the critic explains: 1 is perfect, 0 a constant;
    a float32 scalar."""
    residual = _variance(value_target - value, valid)
    return 1.0 - residual / (_variance(value_target, valid) + 1e-8)


def _variance(values: Tensor, valid: Tensor | None) -> Tensor:
    centred = values - backend.devices.mean(mean(values, valid))
    return backend.devices.mean(mean(ops.square(centred), valid))
