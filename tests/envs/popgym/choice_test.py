import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym import choice
from tests.envs.popgym import chi_square


def to_words(generator, shape):
    return generator.integers(0, 2**31 - 1, shape).astype("int32")


def test_choose_takes_the_set_flag_whose_rank_is_the_remainder_of_the_word():
    generator = np.random.default_rng(1)
    flags, words = generator.random((300, 17)) < 0.4, to_words(generator, 300)
    flags[:17] = np.eye(17, dtype=bool)  # one choice
    flags[17], flags[18] = True, False
    chosen = ops.convert_to_numpy(choice.choose(ops.convert_to_tensor(words), flags))
    for row, word, place in zip(flags, words, chosen, strict=True):
        places = np.flatnonzero(row)
        assert place == (places[word % len(places)] if len(places) else 17)


def test_a_subset_holds_distinct_numbers_and_each_subset_is_equally_likely():
    # All words that give other remainders than each other by 4, 5 and 6, each once.
    words = np.array(list(itertools.product(range(4), range(5), range(6))), "int32")
    chosen = ops.convert_to_numpy(choice.choose_subset(ops.convert_to_tensor(words), 6))
    subsets = np.sort(chosen, axis=1)
    distinct, counts = np.unique(subsets, axis=0, return_counts=True)
    np.testing.assert_array_equal(distinct, list(itertools.combinations(range(6), 3)))
    np.testing.assert_array_equal(counts, 6)


def test_a_subset_may_hold_all_numbers():
    words = to_words(np.random.default_rng(2), (50, 5))
    chosen = ops.convert_to_numpy(choice.choose_subset(ops.convert_to_tensor(words), 5))
    np.testing.assert_array_equal(np.sort(chosen, axis=1), np.tile(np.arange(5), (50, 1)))


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)
def test_words_are_uniform_and_never_negative():
    words = ops.convert_to_numpy(choice.draw_words(random.key(1), (100_000,)))
    assert words.dtype == "int32" and words.min() >= 0
    for n in (3, 7, 264):
        counts = np.bincount(words % n, minlength=n)
        assert chi_square.statistic(counts, len(words) / n) < chi_square.limit(n - 1)
    halves = np.bincount(words >> 27, minlength=16)
    assert chi_square.statistic(halves, len(words) / 16) < chi_square.limit(15)
