"""An actor that weighs directions which its memory hands on, rather than axes of the action.

If the directions turn with the basis of the actions and the weights don't depend on it, the action
turns too: such a policy is equivariant.
"""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_s5rl.typing import Tensor

_SQUARED_BOUND = 1.5  # corners of the box of actions have the squared length 2


def check_steering(
    distribution: Any, encoder_sizes: Sequence[int], encoder: Any, normalized: Sequence[int]
) -> None:
    """Raises a ValueError unless a memory that hands on directions can stand in a policy."""
    if not distribution.num_log_stds or distribution.num_outputs != 2:
        raise ValueError(
            "`memory` hands on directions of a pair of actions, for an action space that is one "
            f"Box of 2 numbers. Received: distribution={distribution!r}"
        )
    if encoder_sizes or encoder is not None or normalized:
        raise ValueError(
            "`encoder_sizes` should be () where the memory hands on directions of the action, "
            "without `encoder` and `normalize_observations`: such a memory takes the observation "
            f"as it is. Received: encoder_sizes={tuple(encoder_sizes)}, encoder={encoder!r}, "
            f"{len(normalized)} normalized features"
        )


def split_directions(features: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Takes directions off the end of features.

    Args:
        features: Tensor `(..., features + count * size)`.
        count: Integer, directions.
        size: Integer, numbers of an action.

    Returns:
        Features `(..., features)`, and float32 directions `(..., count, size)`.
    """
    cut = features.shape[-1] - count * size
    directions = ops.cast(features[..., cut:], "float32")
    return features[..., :cut], ops.reshape(directions, (*ops.shape(features)[:-1], count, size))


def steer(outputs: Tensor, directions: Tensor) -> Tensor:
    """Returns the action that an actor steers to.

        m = sum_k g_k v_k + b,    action = m / sqrt(1 + |m|^2 / 1.5)

    with the weights `g` and `b`, which breaks the symmetry: of an agent that knows no direction
    yet, an equivariant action can only be 0, and it would never know one.

    Args:
        outputs: Tensor `(..., count + size)`, `[g, b]`.
        directions: Tensor `(..., count, size)`, `v`.

    Returns:
        Tensor `(..., size)`, of a length below `sqrt(1.5)`.
    """
    count = directions.shape[-2]
    steered = ops.sum(outputs[..., :count, None] * directions, axis=-2) + outputs[..., count:]
    squared = ops.sum(steered * steered, axis=-1, keepdims=True)
    return steered / ops.sqrt(1.0 + squared / _SQUARED_BOUND)
