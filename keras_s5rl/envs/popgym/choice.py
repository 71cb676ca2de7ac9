"""Uniform choices made from random words: without rejection, so that they compile.

A word is an integer drawn uniformly from `0 .. 2**31 - 2`. Its remainder by `n` is uniform on
`0 .. n - 1`, no probability off by more than `2**-31`.
"""

from collections.abc import Sequence

from keras import ops

from keras_s5rl import random
from keras_s5rl.typing import Tensor


def draw_words(key: Tensor, shape: Sequence[int]) -> Tensor:
    """Returns random words, int32 of `shape`."""
    return random.randint(key, shape, 0, 2**31 - 1)


def choose(words: Tensor, flags: Tensor) -> Tensor:
    """Chooses one of the set flags of each row.

    Args:
        words: int32 tensor of shape `(num_rows,)`, one random word a row.
        flags: bool tensor of shape `(num_rows, n)`.

    Returns:
        int32 tensor of shape `(num_rows,)`: the place of a set flag, each equally likely. It is `n`
        in a row without any.
    """
    num_set_so_far = ops.cumsum(ops.cast(flags, "int32"), axis=1)
    rank = ops.mod(words, ops.maximum(num_set_so_far[:, -1], 1))
    # As many places lie before the set flag of that rank as have counted no more flags than it.
    before = num_set_so_far <= ops.expand_dims(rank, 1)
    return ops.sum(ops.cast(before, "int32"), axis=1)


def choose_subset(words: Tensor, n: int) -> Tensor:
    """Chooses a subset of `0 .. n - 1`: Floyd's algorithm.

    Args:
        words: int32 tensor of shape `(num_rows, size)`, `size <= n`, of random words.
        n: Integer, the numbers to choose from.

    Returns:
        int32 tensor of shape `(num_rows, size)`: distinct numbers in each row, each subset equally
        likely. Their order is not random.

    Reference: Bentley & Floyd, 1987, "A sample of brilliance".
    """
    chosen: list[Tensor] = []
    for word, newest in zip(ops.unstack(words, axis=1), range(n - words.shape[1], n), strict=True):
        number = ops.mod(word, newest + 1)
        # A number that is taken already gives way to the newest one, which cannot be.
        is_taken = ops.zeros_like(number, dtype="bool")
        for other in chosen:
            is_taken = ops.logical_or(is_taken, ops.equal(number, other))
        chosen.append(ops.where(is_taken, newest, number))
    return ops.stack(chosen, axis=1)
