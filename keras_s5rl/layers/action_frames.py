"""Directions of an observation in which a pair of actions moves it, each turning with the actions.

A frame is two directions of an observation that belong to the two actions, `(batch,
observation_size, 2)`.
"""

from typing import NamedTuple

from keras import ops

from keras_s5rl.typing import Tensor


class Frames(NamedTuple):
    """The frames of a linear system.

    Attributes:
        frames: List of frames `(batch, observation_size, 2)`.
        sizes: List of tensors `(batch,)`: how long their directions were, squared and summed.
        couplings: List of tensors `(batch,)`: of each frame and each up to it, the trace of the
            block of `A` between them.
    """

    frames: list[Tensor]
    sizes: list[Tensor]
    couplings: list[Tensor]


def transposed(matrix: Tensor) -> Tensor:
    """Returns the transposes of matrices `(batch, rows, columns)`."""
    return ops.swapaxes(matrix, 1, 2)


def polar(frame: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Makes the directions of a frame orthonormal, and turns them no more than that needs.

        E (E^T E + epsilon^2 I)^(-1/2)

    If the actions turn by `Q`, `E Q^T` becomes `polar(E) Q^T`, which no Gram-Schmidt process does.
    Where one control stands behind both actions, one direction of the result is that of the control
    and the other 0.

    Returns:
        The frame, and `E^T E + epsilon^2 I`, `(batch, 2, 2)`.
    """
    gram = ops.matmul(transposed(frame), frame) + epsilon**2 * ops.eye(2)
    first, both, second = gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]
    # The root of a 2 x 2 matrix M is (M + s I) / t with s = sqrt(det M) and t = sqrt(tr M + 2 s).
    s = ops.sqrt(ops.maximum(first * second - both * both, 1e-20))
    scale = 1.0 / (s * ops.sqrt(first + second + 2.0 * s))
    entries = [second + s, -both, -both, first + s]
    root = ops.stack([entry * scale for entry in entries], axis=1)
    return ops.matmul(frame, ops.reshape(root, (-1, 2, 2))), gram


def krylov_frames(dynamics: Tensor, influence: Tensor, count: int, epsilon: float) -> Frames:
    """Returns frames of what the actions reach in one step, in two, and so on.

        E_1 = polar(B),    E_(k+1) = polar((I - E_1 E_1^T - ... - E_k E_k^T) A E_k)

    With `x_t - x_(t-1) = A x_(t-1) + B a`, the coordinates `E_k^T x` are those of a normal form of
    the system: they are the same, but for a turn by `Q`, whatever orthogonal matrices the
    observations and the actions are multiplied by. (The process is a block Arnoldi's.)

    Args:
        dynamics: Tensor `(batch, observation_size, observation_size)`, `A`.
        influence: Tensor `(batch, observation_size, 2)`, `B`.
        count: Integer, frames to make.
        epsilon: Float, how long a direction is that counts as one.
    """
    frames: list[Tensor] = []
    sizes, couplings = [], []
    frame = influence
    for _ in range(count):
        if frames:
            done = ops.concatenate(frames, axis=2)
            frame = frame - ops.matmul(done, ops.matmul(transposed(done), frame))
        frame, gram = polar(frame, epsilon)
        frames.append(frame)
        sizes.append(gram[:, 0, 0] + gram[:, 1, 1])
        frame = ops.matmul(dynamics, frame)
        couplings += [ops.sum(done * frame, axis=(1, 2)) for done in frames]
    return Frames(frames, sizes, couplings)
