"""Boards of cells, shared by POPGym's board games and labyrinths.

The boards of all environments are one int8 tensor `(num_envs, height * width)`, rows one after the
other: one byte a cell, because restarting an episode copies the board.
"""

from keras import ops

from keras_s5rl.typing import Tensor


def cell_index(position: Tensor, width: int) -> Tensor:
    """Returns the index `row * width + column` of `position`, int32 `(num_envs, 2)`, in a board."""
    return position[:, 0] * width + position[:, 1]


def read(board: Tensor, index: Tensor) -> Tensor:
    """Returns what one cell of each board holds.

    Args:
        board: Tensor of shape `(num_envs, num_cells)`.
        index: Tensor32 tensor of shape `(num_envs,)`.

    Returns:
        Tensor of shape `(num_envs,)`.
    """
    return ops.squeeze(ops.take_along_axis(board, ops.expand_dims(index, 1), axis=1), 1)


def write(board: Tensor, index: Tensor, value: Tensor) -> Tensor:
    """Returns the boards with another value in one cell of each.

    Args:
        board: int8 tensor of shape `(num_envs, num_cells)`.
        index: Tensor32 tensor of shape `(num_envs,)`.
        value: Tensor of shape `(num_envs,)`, or a number.

    Returns:
        int8 tensor of shape `(num_envs, num_cells)`.
    """
    # A selection over all cells: compilers make of it one pass without branches, of a scatter not.
    is_cell = ops.equal(ops.arange(board.shape[1], dtype="int32"), ops.expand_dims(index, 1))
    value = ops.cast(value, board.dtype)
    return ops.where(is_cell, value if value.ndim == 0 else ops.expand_dims(value, 1), board)
