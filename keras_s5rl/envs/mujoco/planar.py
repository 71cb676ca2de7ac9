"""Distances in a plane, and starts in which nothing touches."""

import numpy as np
from keras import ops

from keras_s5rl.typing import Tensor


def point_to_segment(point: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Returns the distance from points to a segment.

    Args:
        point: float32 tensor of shape `(..., 2)`.
        start: The ends of the segment, tensors or arrays of shape `(..., 2)`.
        end: As `start`.

    Returns:
        float32 tensor of shape `(...)`.
    """
    start, end = ops.cast(start, "float32"), ops.cast(end, "float32")
    along = end - start
    share = ops.sum((point - start) * along, axis=-1) / ops.sum(ops.square(along), axis=-1)
    nearest = start + ops.expand_dims(ops.clip(share, 0.0, 1.0), -1) * along
    return ops.sqrt(ops.sum(ops.square(point - nearest), axis=-1))


def first_free(candidates: Tensor, is_free: Tensor) -> Tensor:
    """Takes the first candidate that touches nothing, as drawing until one does not would.

    Args:
        candidates: Tensor of shape `(..., num_candidates, k)`.
        is_free: bool tensor of shape `(..., num_candidates)`.

    Returns:
        Tensor of shape `(..., k)`; the first candidate where none is free.
    """
    first = ops.argmax(ops.cast(is_free, "int32"), axis=-1)
    one_hot = ops.equal(np.arange(is_free.shape[-1]), ops.expand_dims(first, -1))
    return ops.sum(ops.where(ops.expand_dims(one_hot, -1), candidates, 0.0), axis=-2)
