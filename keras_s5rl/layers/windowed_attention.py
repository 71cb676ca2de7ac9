"""Attention of each step to a window of the steps before it, in the same episode."""

from collections.abc import Callable

from keras import ops

from keras_s5rl.typing import Tensor

_BASE = 10_000.0


def windowed_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    episodes: Tensor,
    context_length: int,
    drop: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Softmax attention to the last `context_length` steps, with rotary positions.

        o_t = sum_s softmax_s(<R_t q_t, R_s k_s> / sqrt(size)) v_s
              over t - context_length < s <= t with episode_s == episode_t

    The rotation R turns pairs of features by angles in proportion to the position, so that a score
    depends on the distance `t - s` alone and a stream may be cut anywhere. Other steps are left out
    by selection: a NaN or infinity there changes nothing.

    A long sequence is worked off in chunks of `context_length` queries, against the keys of their
    own chunk and the one before: time and memory are linear in its length.

    Args:
        queries: Tensor `(batch, time, heads, size)`.
        keys, values: Float32 tensors `(batch, context_length - 1 + time, heads, size)`: the steps
            before the first query, then those of the queries.
        episodes: Int32 tensor `(batch, context_length - 1 + time)`, the episode of each step.
        context_length: Positive integer, steps that a query sees, its own among them.
        drop: Function (dropout) applied to the weights `(batch, heads, queries, keys)`, or `None`.
            Defaults to `None`.

    Returns:
        Tensor `(batch, time, heads, size)` of the dtype of `queries`, in which the products are
        computed; rotation and softmax are float32.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers.windowed_attention import windowed_attention
    >>> steps, episodes = np.ones((2, 5, 1, 4), "float32"), np.zeros((2, 5), "int32")
    >>> tuple(windowed_attention(steps[:, 2:], steps, steps, episodes, context_length=3).shape)
    (2, 3, 1, 4)

    Reference:
    - Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021, section 3.
    - Beltagy et al., "Longformer: the long-document transformer", 2020, section 3.1 (window).
    """
    length = queries.shape[1]
    chunks = 0 if length is None else -(-length // context_length)
    if length is None or length * (context_length - 1 + length) <= chunks * 2 * context_length**2:
        return _attend(queries, keys, values, episodes, context_length, drop)

    rest = chunks * context_length - length  # filled up with steps that no query of before sees
    queries = _chunk(_pad(queries, 0, rest), chunks, context_length)
    keys, values, episodes = (
        _with_previous(_chunk(_pad(steps, 1, rest), chunks + 1, context_length))
        for steps in (keys, values, episodes)
    )
    outputs = _attend(_merge(queries), keys, values, episodes, context_length, drop)
    outputs = ops.reshape(outputs, (-1, chunks * context_length, *outputs.shape[2:]))
    return outputs[:, :length]


def rotate(features: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions: turns features i and `size // 2 + i`, as a pair, by an angle.

        angle_i = position * 10000 ** (-2 i / size)

    Args:
        features: Float32 tensor `(batch, time, heads, size)`; an odd last feature stays.
        positions: Float32 tensor `(time,)`.

    Returns:
        Tensor like `features`.

    Reference:
    - Su et al., "RoFormer", 2021, equation 34.
    """
    half = features.shape[-1] // 2
    frequencies = _BASE ** (-ops.arange(half, dtype="float32") / max(half, 1))
    angles = (positions[:, None] * frequencies)[:, None]  # (time, 1, half)
    cos, sin = ops.cos(angles), ops.sin(angles)
    first, second = features[..., :half], features[..., half : 2 * half]
    turned = [first * cos - second * sin, first * sin + second * cos, features[..., 2 * half :]]
    return ops.concatenate(turned, axis=-1)


def _attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    episodes: Tensor,
    context_length: int,
    drop: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """All queries against all keys; the queries are those of the last steps."""
    dtype = queries.dtype
    num_keys, size = ops.shape(keys)[1], queries.shape[-1]
    past = num_keys - ops.shape(queries)[1]
    key_index = ops.arange(num_keys, dtype="int32")
    query_index = key_index[past:]
    distance = query_index[:, None] - key_index
    in_window = ops.logical_and(distance >= 0, distance < context_length)
    same_episode = ops.equal(episodes[:, past:, None], episodes[:, None])
    visible = ops.logical_and(in_window, same_episode)  # (batch, queries, keys); always itself

    # 0 * NaN is NaN, so that weights of 0 are not enough: what is not finite leaves the products,
    # and comes back as a NaN where it was seen.
    finite = ops.all(ops.logical_and(ops.isfinite(keys), ops.isfinite(values)), axis=(2, 3))
    broken = ops.any(ops.logical_and(visible, ops.logical_not(finite)[:, None]), axis=-1)
    keys, values = (ops.where(finite[..., None, None], x, 0.0) for x in (keys, values))

    positions = ops.cast(key_index, "float32")
    keys = rotate(keys, positions)
    queries = rotate(ops.cast(queries, "float32"), positions[past:]) / size**0.5
    scores = ops.einsum("bqhd,bkhd->bhqk", ops.cast(queries, dtype), ops.cast(keys, dtype))
    scores = ops.where(visible[:, None], ops.cast(scores, "float32"), -float("inf"))
    weights = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True)))
    total = ops.swapaxes(ops.sum(weights, axis=-1), 1, 2)[..., None]
    if drop is not None:
        weights = drop(weights)
    outputs = ops.einsum("bhqk,bkhd->bqhd", ops.cast(weights, dtype), ops.cast(values, dtype))
    outputs = ops.cast(outputs, "float32") / total  # the softmax, divided where rows are short
    return ops.cast(ops.where(broken[..., None, None], float("nan"), outputs), dtype)


def _pad(steps: Tensor, before: int, after: int) -> Tensor:
    return ops.pad(steps, [(0, 0), (before, after), *[(0, 0)] * (len(steps.shape) - 2)])


def _chunk(steps: Tensor, chunks: int, length: int) -> Tensor:
    return ops.reshape(steps, (-1, chunks, length, *steps.shape[2:]))


def _with_previous(chunks: Tensor) -> Tensor:
    return _merge(ops.concatenate([chunks[:, :-1], chunks[:, 1:]], axis=2))


def _merge(chunks: Tensor) -> Tensor:
    """Chunks become rows of the batch."""
    return ops.reshape(chunks, (-1, *chunks.shape[2:]))
