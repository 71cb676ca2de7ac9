import functools

import numpy as np

from keras_s5rl.envs.popgym.higher_lower import HigherLower
from tests.envs.play import play

# Dealt first to last: suit and rank.
DEALT = [(2, 5), (0, 5), (1, 12), (3, 0), (3, 1)]


@functools.cache
def outcome():
    """Plays one deck twice, saying "higher" all the time and "lower" all the time."""
    cards = [4 * rank + suit for suit, rank in DEALT]
    rest = [card for card in range(52) if card not in cards]
    deck_idx = np.array([(cards + rest)[::-1]] * 2, "int32")
    env = HigherLower()
    watch = {"obs": env.observation, "info": env.info}
    return play(env, {"deck_idx": deck_idx}, np.array([[0, 1]] * 51, "int32"), watch=watch)


def test_a_tie_is_worth_nothing_and_other_answers_a_card_each():
    signs = np.array([0, 1, -1, 1])
    expected = np.stack([signs, -signs], axis=1) / 52
    np.testing.assert_allclose(outcome()["rewards"][:4], expected, rtol=1e-6)


def test_info_names_the_card_of_which_the_rank_is_shown():
    for card in outcome()["info"]["card"][:5].transpose(1, 0, 2):
        np.testing.assert_array_equal(card, DEALT)
    np.testing.assert_array_equal(outcome()["info"]["card"][..., 1], outcome()["obs"])
