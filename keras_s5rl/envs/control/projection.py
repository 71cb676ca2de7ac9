"""Random linear projections of observations and actions.

Matrices are drawn for each environment and applied to a batch of vectors. They come from
`keras_s5rl.random` and are orthonormalised in `keras.ops`, so that they compile and are the same on
every backend but for rounding.
"""

import math
from typing import Any

from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.typing import Tensor


def haar(key: Tensor, num: int, rows: int, columns: int, strength: Tensor | None = None) -> Tensor:
    """Draws matrices with orthonormal columns.

    The columns of `s G + (1 - s) 2 sqrt(rows / 6) I` are made orthonormal from the first to the
    last, where `G` holds standard normal numbers, `I` has ones on its diagonal and zeros elsewhere,
    and `s` is the strength. At `s = 1` the matrices have the Haar distribution: turning or
    mirroring them does not change it. At `s = 0` they are `I`, and in between they are the nearer
    to it the smaller `s` is.

    The diagonal of `R` in `G = Q R` is positive, without which `Q` would not have the Haar
    distribution.

    Args:
        key: uint32 tensor of shape `(2,)`, see `keras_s5rl.random`.
        num: Integer, number of matrices.
        rows, columns: Integers, the size of a matrix, `rows >= columns`.
        strength: float32 tensor of shape `(num,)`, each in `[0, 1]`, or None for 1.

    Returns:
        float32 tensor of shape `(num, rows, columns)`.

    Reference: Mezzadri, 2007, "How to Generate Random Matrices from the Classical Compact Groups".
    """
    matrix = random.normal(key, (num, rows, columns))
    if strength is not None:
        strength = ops.reshape(strength, (-1, 1, 1))
        bias = 2.0 * math.sqrt(rows / 6) * ops.eye(rows, columns)
        matrix = strength * matrix + (1.0 - strength) * bias

    by_column = (ops.transpose(matrix, (2, 0, 1)), ops.eye(columns))
    return backend.scan(_orthonormalize, ops.zeros_like(matrix), by_column)[0]


def _orthonormalize(done: Tensor, column: Any) -> tuple[Tensor, None]:
    """Makes a vector of each matrix orthonormal to the columns that are done, and adds it."""
    vector, place = column
    # The second time takes away what rounding left.
    for _ in range(2):
        lengths = ops.sum(done * ops.expand_dims(vector, 2), axis=1, keepdims=True)
        vector = vector - ops.sum(done * lengths, axis=2)
    vector = vector / ops.sqrt(ops.sum(ops.square(vector), axis=1, keepdims=True))
    return done + ops.expand_dims(vector, 2) * place, None


def gaussian(key: Tensor, num: int, rows: int, columns: int) -> Tensor:
    """Draws matrices of independent normal numbers of variance `1 / rows`.

    They keep the squared length of a vector in expectation only.

    Args:
        key: uint32 tensor of shape `(2,)`.
        num: Integer, number of matrices.
        rows, columns: Integers, the size of a matrix.

    Returns:
        float32 tensor of shape `(num, rows, columns)`.
    """
    return random.normal(key, (num, rows, columns)) / math.sqrt(rows)


def project(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiplies each matrix `(num, rows, columns)` by its vector `(num, columns)`.

    It is for few columns: the sum over them is written out, which a compiler makes one loop of
    together with what comes before and after.

    Returns:
        Tensor of shape `(num, rows)`.
    """
    return sum(matrix[:, :, j] * vector[:, j : j + 1] for j in range(matrix.shape[2]))
