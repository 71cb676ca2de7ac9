"""Keys and draws: Threefry-2x32, stateless, the same in eager and compiled code on every backend.

A key is a uint32 tensor of shape `(2,)`: it can be saved and restored, stacked and selected like
any other tensor, and equal keys give equal draws. These are the draws of `jax.random`, bit for bit;
only `normal` may differ in the last bits from one backend to another.

torch has next to no arithmetic on uint32. There keys and `bits` are int64 tensors that hold
`0 .. 2**32 - 1`, which is what Keras makes of a uint32 array on torch. Compute with such words by
Python's operators: `keras.ops` promotes int64 to int32 there.

Example:

>>> from keras_s5rl import random
>>> first, second = random.split(random.key(0))
>>> random.randint(first, (3,), 0, 6).shape
(3,)
"""

from collections.abc import Sequence

from keras_s5rl import backend
from keras_s5rl.typing import Tensor

_MAX_SEED = 2**32


def key(seed: int) -> Tensor:
    """Returns the key of an integer seed.

    Args:
        seed: Integer, `0 <= seed < 2**32`.

    Returns:
        uint32 tensor of shape `(2,)`.

    Raises:
        ValueError: If `seed` is not an integer of that range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _MAX_SEED:
        raise ValueError(
            f"`seed` should be an integer from 0 to 2**32 - 1. Received: seed={seed!r}"
        )
    return backend.random.key(seed)


def split(key: Tensor, n: int = 2) -> Tensor:
    """Returns `n` independent keys made from one, as a uint32 tensor of shape `(n, 2)`."""
    return backend.random.split(key, n)


def fold_in(key: Tensor, data: Tensor) -> Tensor:
    """Returns a new key of shape `(2,)` made from `key` and an integer."""
    return backend.random.fold_in(key, data)


def bits(key: Tensor, shape: Sequence[int]) -> Tensor:
    """Returns uniformly random 32-bit words, uint32 of `shape`."""
    return backend.random.bits(key, shape)


def uniform(key: Tensor, shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0) -> Tensor:
    """Returns draws from the uniform distribution on `[minval, maxval)`, float32 of `shape`."""
    return backend.random.uniform(key, shape, minval, maxval)


def normal(key: Tensor, shape: Sequence[int]) -> Tensor:
    """Returns draws from the standard normal distribution, float32 of `shape`.

    Those of TensorFlow and torch are within three units in the last place of JAX's on the CPU.
    """
    return backend.random.normal(key, shape)


def randint(key: Tensor, shape: Sequence[int], minval: Tensor, maxval: Tensor) -> Tensor:
    """Returns uniform draws from the integers `minval .. maxval - 1`, int32 of `shape`."""
    return backend.random.randint(key, shape, minval, maxval)


def permutation(key: Tensor, n: int, batch: Sequence[int] = ()) -> Tensor:
    """Returns uniformly random orders of `0 .. n - 1`, int32 of shape `(*batch, n)`, one
    independent order a row."""
    return backend.random.permutation(key, n, tuple(batch))
