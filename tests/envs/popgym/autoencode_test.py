import functools

import numpy as np

from keras_s5rl.envs.popgym.autoencode import Autoencode
from tests.envs.play import play

WATCHING = 51
ACTIONS = {
    "backwards": [0] * WATCHING + [0, 1, 2, 3] * 13,
    "forwards": [0] * WATCHING + [3, 2, 1, 0] * 13,
    "talking": [0, 1, 2, 3] * 12 + [3, 3, 3] + [0, 1, 2, 3] * 13,
}


@functools.cache
def outcome():
    """Plays a deck dealt from the end of 0, 1 ... 51 once for each row of actions: its suits are
    3, 2, 1, 0, 3 ..."""
    deck_idx = np.tile(np.arange(52, dtype="int32"), (len(ACTIONS), 1))
    return play(Autoencode(), {"deck_idx": deck_idx}, np.array([*ACTIONS.values()], "int32").T)


def rewards(name):
    return outcome()["rewards"][:, list(ACTIONS).index(name)]


def test_the_mode_changes_together_with_the_last_card():
    for obs in outcome()["obs"].transpose(1, 0, 2):
        np.testing.assert_array_equal(obs[:51, 0], 1)
        np.testing.assert_array_equal(obs[51:, 0], 0)
        np.testing.assert_array_equal(obs[:52, 1], [3, 2, 1, 0] * 13)
        np.testing.assert_array_equal(obs[52:], 0)


def test_each_suit_named_backwards_is_worth_a_card_and_a_wrong_one_costs_a_card():
    expected = np.array([0] * WATCHING + [1 / 52] * 52)
    np.testing.assert_allclose(rewards("backwards"), expected, rtol=1e-6)
    np.testing.assert_allclose(rewards("forwards"), -expected, rtol=1e-6)


def test_what_is_played_while_watching_does_not_count():
    np.testing.assert_array_equal(rewards("talking"), rewards("backwards"))
