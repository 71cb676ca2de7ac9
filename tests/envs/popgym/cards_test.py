import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym import cards

needs_random_bits = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Random bits are there on the JAX backend only so far."
)


def test_cards_are_dealt_from_the_end_and_their_suit_is_the_index_modulo_4():
    deck_idx = ops.convert_to_tensor(np.array([[3, 6, 50], [0, 9, 103]], "int32"))
    suits = cards.suits(cards.deal(deck_idx))
    np.testing.assert_array_equal(ops.convert_to_numpy(suits), [[2, 2, 3], [3, 1, 0]])


def test_card_at_reads_one_card_of_each_pile():
    pile = ops.convert_to_tensor(np.array([[2, 2, 3], [3, 1, 0]], "int8"))
    card = cards.card_at(pile, ops.convert_to_tensor(np.array([2, 1], "int32")))
    np.testing.assert_array_equal(ops.convert_to_numpy(card), [3, 1])
    assert keras.backend.standardize_dtype(card.dtype) == "int32"


def chi_square(counts, expected):
    return float(np.sum((counts - expected) ** 2 / expected))


# Chi-square of 15 (pairs) and of 3 degrees of freedom passes these once in 10,000 times.
LIMIT_15, LIMIT_3 = 44.3, 21.1


def dealt_suits(deck_idx):
    return ops.convert_to_numpy(cards.suits(cards.deal(deck_idx)))


def first_card_statistic(suits):
    return chi_square(np.bincount(suits[:, 0], minlength=4), len(suits) / 4)


def pair_statistic(suits, num_decks, position):
    """Of two cards dealt one after the other, against drawing without replacement."""
    num_cards = cards.CARDS_PER_DECK * num_decks
    pairs = np.bincount(4 * suits[:, position] + suits[:, position + 1], minlength=16)
    same = (num_cards / 4 - 1) / (num_cards - 1) / 4
    probability = np.where(np.eye(4, dtype=bool), same, (1 - 4 * same) / 12).ravel()
    return chi_square(pairs, len(suits) * probability)


@needs_random_bits
@pytest.mark.parametrize("num_decks", [1, 3])
def test_decks_are_uniformly_random_permutations(num_decks):
    deck_idx = cards.draw_decks(random.key(5), 10_000, num_decks)
    num_cards = cards.CARDS_PER_DECK * num_decks
    rows = np.sort(ops.convert_to_numpy(deck_idx), axis=1)
    np.testing.assert_array_equal(rows, np.tile(np.arange(num_cards), (10_000, 1)))
    suits = dealt_suits(deck_idx)
    assert first_card_statistic(suits) < LIMIT_3
    for position in (0, 1, num_cards // 2, num_cards - 2):
        assert pair_statistic(suits, num_decks, position) < LIMIT_15


@needs_random_bits
def test_decks_of_different_environments_are_independent():
    suits = dealt_suits(cards.draw_decks(random.key(6), 10_000, 1))
    pairs = np.bincount(4 * suits[:-1, 0] + suits[1:, 0], minlength=16)
    assert chi_square(pairs, len(suits) / 16) < LIMIT_15


def test_the_statistics_see_a_bias_of_a_few_per_cent():
    generator = np.random.default_rng(0)
    suits = np.argsort(generator.random((10_000, 52)), axis=1) % 4
    assert first_card_statistic(suits) < LIMIT_3
    assert pair_statistic(suits, 1, 0) < LIMIT_15
    biased = suits.copy()
    biased[generator.random(10_000) < 0.04, 0] = 0
    assert first_card_statistic(biased) > LIMIT_3
    repeated = np.where(generator.random(10_000) < 0.04, suits[:, 0], suits[:, 1])
    assert pair_statistic(np.stack([suits[:, 0], repeated], 1), 1, 0) > LIMIT_15
