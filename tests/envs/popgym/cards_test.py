import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.popgym import cards
from tests.envs.popgym import chi_square


def test_cards_are_dealt_from_the_end():
    deck_idx = ops.convert_to_tensor(np.array([[3, 6, 50], [0, 9, 103]], "int32"))
    dealt = ops.convert_to_numpy(cards.deal(deck_idx))
    np.testing.assert_array_equal(dealt, [[50, 6, 3], [103, 9, 0]])


@pytest.mark.parametrize(
    ("deck_type", "expected"),
    [
        ("colors", [0, 1, 1, 1, 0, 1]),
        ("suits", [0, 3, 1, 3, 0, 3]),
        ("ranks", [0, 0, 1, 12, 0, 12]),
    ],
)
def test_classes_repeat_in_every_deck(deck_type, expected):
    class_of, num_classes = cards.DECK_TYPES[deck_type]
    index = ops.convert_to_tensor(np.array([0, 3, 5, 51, 52, 103], "int32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(class_of(index)), expected)
    assert keras.backend.standardize_dtype(class_of(index).dtype) == "int8"
    pile = ops.convert_to_numpy(class_of(ops.arange(104, dtype="int32")))
    np.testing.assert_array_equal(np.bincount(pile), [104 // num_classes] * num_classes)


def test_card_at_reads_one_card_of_each_pile():
    pile = ops.convert_to_tensor(np.array([[2, 2, 3], [3, 1, 0]], "int8"))
    card = cards.card_at(pile, ops.convert_to_tensor(np.array([2, 1], "int32")))
    np.testing.assert_array_equal(ops.convert_to_numpy(card), [3, 1])
    assert keras.backend.standardize_dtype(card.dtype) == "int32"


@pytest.mark.parametrize("name", ["CountRecallEasy", "ConcentrationEasy"])
@pytest.mark.parametrize("deck_type", ["jokers", None, 2])
def test_an_unknown_type_of_deck_is_refused(name, deck_type):
    message = f"one of 'colors', 'suits', 'ranks': .* Received: deck_type={deck_type!r}"
    with pytest.raises(ValueError, match=message):
        envs.make(name, deck_type=deck_type)


@pytest.mark.parametrize("family", ["Autoencode", "Concentration", "CountRecall", "HigherLower"])
@pytest.mark.parametrize("num_decks", [0, 1.0, True])
def test_a_number_of_decks_that_is_no_positive_integer_is_refused(family, num_decks):
    with pytest.raises(ValueError, match=r"`num_decks` should be a positive integer\. Received"):
        envs.make(f"{family}Easy", num_decks=num_decks)


def first_card(suits):
    return chi_square.statistic(np.bincount(suits[:, 0], minlength=4), [len(suits) / 4] * 4)


def pairs(suits, num_decks, position):
    """Of two cards dealt one after the other, against drawing without replacement."""
    num_cards = cards.CARDS_PER_DECK * num_decks
    counts = np.bincount(4 * suits[:, position] + suits[:, position + 1], minlength=16)
    same = (num_cards / 4 - 1) / (num_cards - 1) / 4
    probability = np.where(np.eye(4, dtype=bool), same, (1 - 4 * same) / 12).ravel()
    return chi_square.statistic(counts, len(suits) * probability)


def positions(deck_idx, card):
    """Of where one card lies."""
    num_decks, num_cards = deck_idx.shape
    counts = np.bincount(np.argmax(deck_idx == card, axis=1), minlength=num_cards)
    return chi_square.statistic(counts, [num_decks / num_cards] * num_cards)


def draw(seed, num_envs, num_decks=1):
    return ops.convert_to_numpy(cards.draw_decks(random.key(seed), num_envs, num_decks))


def dealt_suits(deck_idx):
    return deck_idx[:, ::-1] % 4


@pytest.mark.parametrize("num_decks", [1, 3])
def test_decks_are_uniformly_random_permutations(num_decks):
    deck_idx = draw(5, 10_000, num_decks)
    num_cards = cards.CARDS_PER_DECK * num_decks
    rows = np.sort(deck_idx, axis=1)
    np.testing.assert_array_equal(rows, np.tile(np.arange(num_cards), (10_000, 1)))
    suits = dealt_suits(deck_idx)
    assert first_card(suits) < chi_square.limit(3)
    for position in (0, 1, num_cards // 2, num_cards - 2):
        assert pairs(suits, num_decks, position) < chi_square.limit(15)


def test_every_card_lies_everywhere_equally_often():
    deck_idx = draw(7, 60_000)
    for card in (0, 25, 51):
        assert positions(deck_idx, card) < chi_square.limit(51)


def test_decks_of_different_environments_are_independent():
    suits = dealt_suits(draw(6, 10_000))
    counts = np.bincount(4 * suits[:-1, 0] + suits[1:, 0], minlength=16)
    assert chi_square.statistic(counts, [9_999 / 16] * 16) < chi_square.limit(15)


@pytest.mark.parametrize(
    "family",
    ["Autoencode", "Concentration", "CountRecall", "HigherLower", "RepeatFirst", "RepeatPrevious"],
)
def test_every_game_shuffles_its_piles(family):
    piles = envs.make(f"{family}Medium").draw_initial(random.key(8), 2_000)
    for pile in piles.values():
        pile = ops.convert_to_numpy(pile)
        np.testing.assert_array_equal(np.sort(pile, axis=1)[-1], np.arange(pile.shape[1]))
        assert first_card(dealt_suits(pile)) < chi_square.limit(3)
        assert len(np.unique(pile, axis=0)) == 2_000


def test_the_statistics_see_a_bias_of_a_few_per_cent():
    generator = np.random.default_rng(0)
    deck_idx = np.argsort(generator.random((60_000, 52)), axis=1)
    suits = dealt_suits(deck_idx[:10_000])
    assert first_card(suits) < chi_square.limit(3)
    assert pairs(suits, 1, 0) < chi_square.limit(15)
    assert positions(deck_idx, 0) < chi_square.limit(51)
    biased = suits.copy()
    biased[generator.random(10_000) < 0.04, 0] = 0
    assert first_card(biased) > chi_square.limit(3)
    repeated = np.where(generator.random(10_000) < 0.04, suits[:, 0], suits[:, 1])
    assert pairs(np.stack([suits[:, 0], repeated], 1), 1, 0) > chi_square.limit(15)
    # Card 0 comes from the upper half of the pile to the lower one in 1 of 20 rows.
    half_turned = np.where(
        (generator.random(60_000) < 0.05)[:, None]
        & (np.argmax(deck_idx == 0, axis=1) < 26)[:, None],
        deck_idx[:, ::-1],
        deck_idx,
    )
    assert positions(half_turned, 0) > chi_square.limit(51)
