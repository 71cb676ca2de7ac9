"""The HiPPO-LegS matrix, diagonalised: where S5's eigenvalues start."""

import functools

import numpy as np

from keras_s5rl.typing import Array


@functools.lru_cache(maxsize=8)
def hippo_eigenbasis(
    state_size: int, num_blocks: int = 1, conjugate_symmetry: bool = True
) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the normal part of the HiPPO-LegS matrix, in float64.

    HiPPO-LegS is `A_nk = -sqrt(2n+1) sqrt(2k+1)` below the diagonal, `-(n+1)` on it and 0 above.
    Adding the rank-one matrix `p p^T`, `p_n = sqrt(n + 1/2)`, leaves a normal matrix, `-1/2` plus a
    skew-symmetric one: all real parts are -1/2, and the imaginary parts are the eigenvalues of a
    Hermitian matrix.

    Args:
        state_size: Positive integer N, a multiple of `num_blocks`, twice that under
            `conjugate_symmetry`.
        num_blocks: Number of equal HiPPO matrices on the diagonal. Defaults to `1`.
        conjugate_symmetry: Whether to keep the half with negative imaginary parts only. Defaults to
            `True`.

    Returns:
        `(eigenvalues, eigenvectors)`: complex `(P,)` and, as columns, `(N, P)`, with P = N / 2
        under `conjugate_symmetry`, else N.

    Example:

    >>> from keras_s5rl.layers.hippo import hippo_eigenbasis
    >>> values, vectors = hippo_eigenbasis(8)
    >>> values.shape, vectors.shape
    ((4,), (8, 4))

    Reference:
    - "Simplified state space layers for sequence modeling" (S5).
    """
    size = state_size // num_blocks
    n = np.arange(size)
    root = np.sqrt(1 + 2 * n)
    hippo = -(np.tril(root[:, None] * root) - np.diag(n))
    low_rank = np.sqrt(n + 0.5)
    normal = hippo + low_rank[:, None] * low_rank
    imaginary, vectors = np.linalg.eigh(-1j * normal)
    values = np.mean(np.diagonal(normal)) + 1j * imaginary
    if conjugate_symmetry:
        values, vectors = values[: size // 2], vectors[:, : size // 2]
    return np.tile(values, num_blocks), np.kron(np.eye(num_blocks), vectors)
