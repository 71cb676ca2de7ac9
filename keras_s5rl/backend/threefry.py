"""The draws of `jax.random` in `keras.ops`: the module `random` of TensorFlow and torch.

Threefry-2x32 is a keyed permutation of pairs of 32-bit words. Draw number `i` of a key comes from
the pair `(0, i)`, so that draws depend on nothing but the key and their place in the result.

Words are int32 inside: sums wrap around, bits are what counts. Outside they are uint32 in Keras'
sense, which on torch means an int64 tensor that holds 0 .. 2**32 - 1: torch.uint32 can be neither
added nor shifted.

Reference: Salmon et al., 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", section 4.2.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_s5rl.typing import Tensor

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_KEY_PARITY = 0x1BD11BDA
_WORD = 2**32 - 1
_MIN_INT32 = -(2**31)
_MAX_INDEX_BITS = 12
_SQRT_2 = float(np.float32(math.sqrt(2.0)))


def key(seed: int) -> Tensor:
    return ops.convert_to_tensor(np.array([0, seed], "uint32"))


def split(key: Tensor, n: int) -> Tensor:
    return _to_uint32(ops.stack(threefry_2x32(key, 0, ops.arange(n, dtype="int32")), axis=-1))


def fold_in(key: Tensor, data: Tensor) -> Tensor:
    data = ops.cast(ops.convert_to_tensor(data, dtype="int64"), "int32")
    return _to_uint32(ops.stack(threefry_2x32(key, 0, data)))


def bits(key: Tensor, shape: Sequence[int]) -> Tensor:
    return _to_uint32(_draw_words(key, shape))


def uniform(key: Tensor, shape: Sequence[int], minval: Tensor, maxval: Tensor) -> Tensor:
    minval = ops.convert_to_tensor(minval, dtype="float32")
    width = ops.cast(ops.convert_to_tensor(maxval, dtype="float32") - minval, "float64")
    unit = ops.cast(_shift_right(_draw_words(key, shape), 9), "float64") * 2.0**-23
    # XLA contracts this to one multiply-add; float64 rounds once too, and so gives the same bits.
    draws = ops.cast(unit * width + ops.cast(minval, "float64"), "float32")
    return ops.maximum(draws, minval)


def normal(key: Tensor, shape: Sequence[int]) -> Tensor:
    above_minus_one = np.nextafter(np.float32(-1.0), np.float32(0.0))
    draws = uniform(key, shape, above_minus_one, 1.0)
    return ops.cast(_SQRT_2 * _inverse_erf(draws), "float32")


def randint(key: Tensor, shape: Sequence[int], minval: Tensor, maxval: Tensor) -> Tensor:
    high, low = (ops.cast(bits(part, shape), "int64") for part in ops.unstack(split(key, 2), 2))
    minval, maxval = (ops.convert_to_tensor(limit, dtype="int64") for limit in (minval, maxval))
    span = ops.where(maxval > minval, maxval - minval, 1)
    # (high * 2**32 + low) mod span, where 2**32 mod span is taken in wrapping 32-bit words.
    multiplier = (ops.square(2**16 % span) & _WORD) % span
    return ops.cast(minval + (high % span * multiplier + low % span) % span, "int32")


def permutation(key: Tensor, n: int, batch: Sequence[int]) -> Tensor:
    shape = (*batch, n)
    index_bits = (n - 1).bit_length()
    indices = ops.arange(n, dtype="int32")
    if index_bits <= _MAX_INDEX_BITS:
        mask = (1 << index_bits) - 1
        words = (_draw_words(key, shape) & ~mask) | indices
        # The other highest bit makes the order of int32 that of uint32.
        return ops.sort(words ^ _MIN_INT32, axis=-1) & mask
    # Stable sorts by fresh words, as many rounds as make it unlikely that ties matter.
    size = math.prod(shape)
    rows = ops.broadcast_to(indices, shape)
    for _ in range(math.ceil(3 * math.log(max(1, size)) / math.log(_WORD))):
        key, subkey = ops.unstack(split(key, 2), 2)
        words = ops.cast(_draw_words(subkey, shape) ^ _MIN_INT32, "int64")
        order = ops.sort(words * 2**32 + ops.cast(indices, "int64"), axis=-1) & _WORD
        rows = ops.take_along_axis(rows, ops.cast(order, "int32"), axis=-1)
    return rows


def threefry_2x32(key: Tensor, counter_high: Tensor, counter_low: Tensor) -> tuple[Tensor, Tensor]:
    """Threefry-2x32 with 20 rounds.

    Args:
        key: uint32 tensor of shape `(2,)`.
        counter_high, counter_low: int32 tensors, the pairs of words; `counter_high` may be an
            integer.

    Returns:
        Two int32 tensors, the words that the pairs are mapped to.
    """
    key = ops.cast(key, "int32")
    keys = (key[0], key[1], key[0] ^ key[1] ^ _KEY_PARITY)
    high, low = keys[0] + counter_high, keys[1] + counter_low
    high = ops.broadcast_to(high, ops.shape(low))
    added_high = [keys[(group + 1) % 3] for group in range(5)]
    added_low = [keys[(group + 2) % 3] + (group + 1) for group in range(5)]
    if keras.backend.backend() != "torch":
        # The loop is one of XLA's there. Unrolled, all rounds are fused into what uses the words,
        # and with a maximum of eight of them LLVM does not come to an end.
        added_high, added_low = ops.stack(added_high), ops.stack(added_low)

    def mix(group: Tensor, words: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        high, low = words
        for even, odd in zip(*_ROTATIONS, strict=True):
            distance = even + group % 2 * (odd - even)
            mask = 2**even - 1 + group % 2 * (2**odd - 2**even)
            high = high + low
            low = high ^ (
                ops.left_shift(low, distance) | (ops.right_shift(low, 32 - distance) & mask)
            )
        return high + added_high[group], low + added_low[group]

    return ops.fori_loop(0, 5, mix, (high, low))


def _draw_words(key: Tensor, shape: Sequence[int]) -> Tensor:
    counter = ops.arange(math.prod(shape), dtype="int32")
    high, low = threefry_2x32(key, 0, counter)
    return ops.reshape(high ^ low, shape)


def _shift_right(words: Tensor, distance: int) -> Tensor:
    """Shifts int32 words to the right and zeros in, whatever the sign."""
    return ops.right_shift(words, distance) & ((1 << (32 - distance)) - 1)


def _to_uint32(words: Tensor) -> Tensor:
    return ops.cast(ops.cast(words, "int64") & _WORD, "uint32")


def _inverse_erf(x: Tensor) -> Tensor:
    """The inverse error function of a float32 tensor, float64, by XLA's polynomials for float32.

    Reference: Giles, 2012, "Approximating the erfinv function", GPU Computing Gems, Jade Edition,
        single precision.
    """
    # The square is rounded to float32 as in XLA. Near 1 the result shows that rounding, and XLA's
    # others hardly: with float64 from here on at most three last bits differ.
    w = -ops.log1p(-ops.cast(ops.square(x), "float64"))
    centre = _polynomial(_ERFINV_CENTRE, w - 2.5)
    tail = _polynomial(_ERFINV_TAIL, ops.sqrt(w) - 3.0)
    return ops.where(w < 5.0, centre, tail) * ops.cast(x, "float64")


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


# Highest power first.
_ERFINV_CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_ERFINV_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)
