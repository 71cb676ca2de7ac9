"""Threefry-2x32 on JAX: `jax.random` on raw uint32 keys."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from keras_s5rl.typing import Tensor

_IMPLEMENTATION = "threefry2x32"
_MAX_INDEX_BITS = 12


def _typed(key: Tensor) -> Tensor:
    return jax.random.wrap_key_data(key, impl=_IMPLEMENTATION)


def key(seed: int) -> Tensor:
    return jax.random.key_data(jax.random.key(seed, impl=_IMPLEMENTATION))


def split(key: Tensor, n: int) -> Tensor:
    return jax.random.key_data(jax.random.split(_typed(key), n))


def fold_in(key: Tensor, data: Tensor) -> Tensor:
    return jax.random.key_data(jax.random.fold_in(_typed(key), data))


def bits(key: Tensor, shape: Sequence[int]) -> Tensor:
    return jax.random.bits(_typed(key), shape, dtype=jnp.uint32)


def uniform(key: Tensor, shape: Sequence[int], minval: Tensor, maxval: Tensor) -> Tensor:
    return jax.random.uniform(_typed(key), shape, minval=minval, maxval=maxval, dtype=jnp.float32)


def normal(key: Tensor, shape: Sequence[int]) -> Tensor:
    return jax.random.normal(_typed(key), shape, dtype=jnp.float32)


def randint(key: Tensor, shape: Sequence[int], minval: Tensor, maxval: Tensor) -> Tensor:
    return jax.random.randint(_typed(key), shape, minval, maxval, dtype=jnp.int32)


def permutation(key: Tensor, n: int, batch: Sequence[int]) -> Tensor:
    index_bits = (n - 1).bit_length()
    if index_bits > _MAX_INDEX_BITS:
        rows = jnp.broadcast_to(jnp.arange(n, dtype=jnp.int32), (*batch, n))
        return jax.random.permutation(_typed(key), rows, axis=-1, independent=True)
    # Random words with the index in their low bits, sorted: no two are equal, one sort of single
    # words does it, and an order is off its probability by no more than about 2 ** (index_bits -
    # 32).
    mask = jnp.uint32((1 << index_bits) - 1)
    words = (bits(key, (*batch, n)) & ~mask) | jnp.arange(n, dtype=jnp.uint32)
    return (jnp.sort(words, axis=-1) & mask).astype(jnp.int32)
