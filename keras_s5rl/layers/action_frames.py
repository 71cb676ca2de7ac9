"""Directions of an observation in which a pair of actions moves it, each turning with the actions.

Everything is batched along the last axis, along which a compiler vectorises: a matrix is
`(rows, columns, batch)`, a vector `(rows, batch)`, and a frame, two directions of an observation
that belong to the two actions, `(observation_size, 2, batch)`.
"""

from typing import NamedTuple

from keras import ops

from keras_s5rl.typing import Tensor


class Frames(NamedTuple):
    """The frames of a linear system.

    Attributes:
        frames: List of frames `(observation_size, 2, batch)`.
        sizes: List of tensors `(batch,)`: how long their directions were, squared and summed.
        couplings: List of tensors `(batch,)`: of each frame and each up to it, the trace of the
            block of `A` between them.
    """

    frames: list[Tensor]
    sizes: list[Tensor]
    couplings: list[Tensor]


def apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiplies matrices by vectors. The sum is written out, which a compiler makes one loop."""
    return sum(matrix[:, j] * vector[j] for j in range(vector.shape[0]))


def apply_transposed(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiplies the transposes of matrices by vectors."""
    return sum(matrix[i] * vector[i] for i in range(vector.shape[0]))


def gram(frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the entries `(0, 0)`, `(0, 1)` and `(1, 1)` of `E^T E`."""
    first, second = frame[:, 0], frame[:, 1]
    return (
        ops.sum(first * first, axis=0),
        ops.sum(first * second, axis=0),
        ops.sum(second * second, axis=0),
    )


def polar(frame: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Makes the directions of a frame orthonormal, and turns them no more than that needs.

        E (E^T E + epsilon^2 I)^(-1/2)

    If the actions turn by `Q`, `E Q^T` becomes `polar(E) Q^T`, which no Gram-Schmidt process does.
    Where one control stands behind both actions, one direction of the result is that of the control
    and the other 0.

    Returns:
        The frame, and the trace of `E^T E + 2 epsilon^2 I`.
    """
    first, both, second = gram(frame)
    first, second = first + epsilon**2, second + epsilon**2
    # The root of a 2 x 2 matrix M is (M + s I) / t with s = sqrt(det M) and t = sqrt(tr M + 2 s).
    s = ops.sqrt(ops.maximum(first * second - both * both, 1e-20))
    scale = 1.0 / (s * ops.sqrt(first + second + 2.0 * s))
    one = frame[:, 0] * (second + s) - frame[:, 1] * both
    other = frame[:, 1] * (first + s) - frame[:, 0] * both
    return ops.stack([one * scale, other * scale], axis=1), first + second


def in_frame(frame: Tensor, vector: Tensor) -> Tensor:
    """Returns the coordinates `E^T x` of a vector, `(2, batch)`, which turn with the actions."""
    return apply_transposed(frame, vector)


def krylov_frames(dynamics: Tensor, influence: Tensor, count: int, epsilon: float) -> Frames:
    """Returns frames of what the actions reach in one step, in two, and so on.

        E_1 = polar(B),    E_(k+1) = polar((I - E_1 E_1^T - ... - E_k E_k^T) A E_k)

    With `x_t - x_(t-1) = A x_(t-1) + B a`, the coordinates `E_k^T x` are those of a normal form of
    the system: they are the same, but for a turn by `Q`, whatever orthogonal matrices the
    observations and the actions are multiplied by. (The process is a block Arnoldi's.)

    Args:
        dynamics: Tensor `(observation_size, observation_size, batch)`, `A` transposed.
        influence: Tensor `(observation_size, 2, batch)`, `B`.
        count: Integer, frames to make.
        epsilon: Float, how long a direction is that counts as one.
    """
    frames: list[Tensor] = []
    sizes, couplings = [], []
    frame = influence
    for _ in range(count):
        for done in frames:
            along = [in_frame(done, frame[:, j]) for j in range(2)]
            taken = [done[:, 0] * one[0] + done[:, 1] * one[1] for one in along]
            frame = frame - ops.stack(taken, axis=1)
        frame, size = polar(frame, epsilon)
        frames.append(frame)
        sizes.append(size)
        moved = [apply_transposed(dynamics, frame[:, j]) for j in range(2)]
        frame = ops.stack(moved, axis=1)
        couplings += [ops.sum(done * frame, axis=(0, 1)) for done in frames]
    return Frames(frames, sizes, couplings)
