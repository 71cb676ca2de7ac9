"""Draws are those of `jax.random`, as recorded on JAX, on every backend.

`KERAS_BACKEND=jax python -m tests.random_test` records them anew.
"""

import functools
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.backend.threefry import threefry_2x32
from tests.support.differentiate import BACKEND, compiled

RECORDED = Path(__file__).parent / "data" / "random" / "draws.npz"
SEEDS = (0, 123456789, 2**32 - 1)
# JAX's draws as users have them: without XLA's optimizations a product is rounded before the sum.
IS_OPTIMIZED = "--xla_backend_optimization_level=0" not in os.environ.get("XLA_FLAGS", "")


def draws(key):
    """Every kind of draw, a dict of tensors."""
    integers = functools.partial(ops.convert_to_tensor, dtype="int32")
    # Products that must not be rounded before the sum, and an interval without a number.
    low, high = np.array([[-0.05, 1.0, -1e-3, 3.0, 2.0], [0.05, 2.5, 7.0, 1000.0, 1.0]], "float32")
    # Spans of a few words, of more than half a word's bits, of all words but one, and none.
    start, stop = [0, -9, 0, -(2**31), 5], [3, 90, 2**16 + 1, 2**31 - 1, 5]
    return {
        "split": random.split(key, 5),
        "fold_in": ops.stack([random.fold_in(key, data) for data in (1, 2**32 - 1, integers(-7))]),
        "bits": random.bits(key, (5, 7, 3)),
        "bits_scalar": random.bits(key, ()),
        "bits_empty": random.bits(key, (4, 0)),
        "uniform": random.uniform(key, (200,), -0.05, 0.05),
        "uniform_of_tensors": random.uniform(key, (100, 5), low, ops.convert_to_tensor(high)),
        "normal": random.normal(key, (1000,)),
        "randint": random.randint(key, (200,), -2, 4),
        "randint_of_tensors": random.randint(key, (100, 5), integers(start), integers(stop)),
        "permutation": random.permutation(key, 52, (3,)),
        "permutation_of_one": random.permutation(key, 1, (2,)),
        "permutation_large": random.permutation(key, 4097, (2,))[:, :100],
    }


def numpy(structure):
    return keras.tree.map_structure(lambda x: np.asarray(ops.convert_to_numpy(x)), structure)


def as_uint32(words):
    return numpy(words).astype("uint32")


def programs():
    """What compiles a function, by name."""
    if BACKEND != "tensorflow":
        return {"compiled": backend.compile}
    import tensorflow as tf

    return {"compiled": backend.compile, "graph": functools.partial(tf.function, autograph=False)}


def recorded(seed):
    with np.load(RECORDED) as file:
        return {
            name.removeprefix(f"{seed}/"): file[name]
            for name in file.files
            if name.startswith(f"{seed}/")
        }


@functools.cache
def eager_draws(seed):
    return numpy(draws(random.key(seed)))


@pytest.mark.portable
@pytest.mark.skipif(
    BACKEND == "jax" and not IS_OPTIMIZED, reason="make test-all runs it optimized."
)
@pytest.mark.parametrize("seed", SEEDS)
def test_draws_are_those_of_jax(seed):
    drawn, expected = eager_draws(seed), recorded(seed)
    assert set(drawn) == set(expected)
    for name, values in drawn.items():
        reference = expected[name]
        if name == "normal":
            assert values.dtype == "float32"
            np.testing.assert_array_max_ulp(values, reference, maxulp=3)
            off_by_more_than_one = np.abs(values - reference) > 1.5 * np.spacing(np.abs(reference))
            assert off_by_more_than_one.mean() < 0.02
        else:
            if reference.dtype == "uint32" and BACKEND == "torch":
                assert values.dtype == "int64"
                values = values.astype("uint32")
            np.testing.assert_array_equal(values, reference, err_msg=name, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("program", programs())
def test_compiled_draws_are_the_eager_ones(program):
    program = programs()[program](draws)
    for seed in SEEDS:
        drawn = numpy(program(random.key(seed)))
        for name, expected in eager_draws(seed).items():
            np.testing.assert_array_equal(drawn[name], expected, err_msg=name, strict=True)


def test_the_largest_of_eight_draws_compiles():
    """LLVM does not come to an end if XLA fuses unrolled rounds into such a maximum."""

    def largest(key):
        return ops.max(random.uniform(key, (8, 8)), axis=-1)

    key = random.key(3)
    np.testing.assert_array_equal(numpy(compiled(largest)(key)), numpy(largest(key)))


# Known answers of the authors' Random123: key, counter, and what the counter is mapped to.
KNOWN_ANSWERS = (
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((2**32 - 1, 2**32 - 1), (2**32 - 1, 2**32 - 1), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)


@pytest.mark.portable
@pytest.mark.parametrize(("key", "counter", "expected"), KNOWN_ANSWERS)
def test_threefry_gives_the_known_answers(key, counter, expected):
    high, low = (ops.convert_to_tensor(np.uint32(word).view("int32")) for word in counter)
    words = threefry_2x32(ops.convert_to_tensor(np.array(key, "uint32")), high, low)
    assert tuple(int(as_uint32(word)) for word in words) == expected


def test_a_key_is_restored_from_uint32_and_taken_apart_like_any_tensor():
    key = random.key(7)
    words = as_uint32(key)
    assert words.tolist() == [0, 7]
    for restored in (words, ops.convert_to_tensor(words)):
        np.testing.assert_array_equal(
            as_uint32(random.bits(restored, (3,))), as_uint32(random.bits(key, (3,)))
        )

    def take_apart(keys):
        first, second, third = ops.unstack(keys, 3)
        swapped = ops.stack([third, first, second])
        chosen = ops.where(ops.convert_to_tensor([[True], [False], [True]]), keys, swapped)
        return first, chosen, ops.take(chosen, ops.convert_to_tensor([2, 1]), axis=0)

    keys = random.split(random.key(2**32 - 1), 3)
    rows = as_uint32(keys)
    for function in (take_apart, compiled(take_apart)):
        first, chosen, taken = function(keys)
        np.testing.assert_array_equal(as_uint32(first), rows[0])
        np.testing.assert_array_equal(as_uint32(chosen), rows[[0, 0, 2]])
        np.testing.assert_array_equal(as_uint32(taken), rows[[2, 0]])
        np.testing.assert_array_equal(
            as_uint32(random.split(taken[1], 2)), as_uint32(random.split(keys[0], 2))
        )


@pytest.mark.parametrize("n", [52, 4096, 4097])
def test_permutations_hold_each_number_once(n):
    rows = numpy(random.permutation(random.key(3), n, (2,)))
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(n), (2, 1)))
    assert (rows[0] != rows[1]).any() and rows.dtype == "int32"


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "0", None])
def test_a_seed_that_is_no_word_is_refused(seed):
    with pytest.raises(ValueError, match=r"`seed` should be an integer.*Received: seed="):
        random.key(seed)


if __name__ == "__main__":
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{seed}/{name}": values for seed in SEEDS for name, values in eager_draws(seed).items()
    }
    np.savez_compressed(RECORDED, **arrays)
