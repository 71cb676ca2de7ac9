"""What layers that loop over time share: resets in reverse, and a choice between states."""

from collections.abc import Sequence

from keras import ops

from keras_s5rl.typing import Tensor


def resets_in_reverse(resets: Tensor) -> Tensor:
    """Returns where a loop that runs backwards clears its state: after the first step of an
    episode, which it reaches last.

    Args:
        resets: Bool tensor `(time, batch)`, where an episode starts.

    Returns:
        Bool tensor `(time, batch)`.
    """
    return ops.concatenate([resets[1:], ops.zeros_like(resets[:1])], axis=0)


def select_states(
    condition: Tensor, chosen: Sequence[Tensor], others: Sequence[Tensor]
) -> list[Tensor]:
    """Chooses between two lists of states, sequence by sequence.

    Args:
        condition: Bool tensor `(batch,)`.
        chosen: List of tensors `(batch, ...)`, for where it is true.
        others: List of tensors of the same shapes, for where it is not.

    Returns:
        List of tensors of these shapes.
    """
    return [
        ops.where(ops.reshape(condition, (-1, *(1,) * (len(one.shape) - 1))), one, other)
        for one, other in zip(chosen, others, strict=True)
    ]
