import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs
from keras_s5rl.envs.popgym.repeat_previous import RepeatPrevious


def play(env, suits, actions):
    """Deals cards of the given suits, first to last; returns the rewards."""
    num_cards = 52 * env.num_decks
    piles = [np.arange(suit, num_cards, 4).tolist() for suit in range(4)]
    dealt = [piles[suit].pop() for suit in suits]
    rest = sum(piles, [])
    deck_idx = np.array([(dealt + rest)[::-1]], "int32")
    state = env.initial({"deck_idx": ops.convert_to_tensor(deck_idx)})
    rewards = []
    for action in actions:
        action = ops.convert_to_tensor(np.array([action], "int32"))
        state, reward, *_ = env.transition(state, action, {})
        rewards.append(float(ops.convert_to_numpy(reward)[0]))
    return rewards


def test_the_target_is_the_suit_k_minus_1_cards_ago():
    suits = [2, 0, 3, 1, 2, 2]
    # With k=3, step t asks for suits[t - 2] and the first two steps are not scored.
    rewards = play(RepeatPrevious(num_decks=1, k=3), suits, [0, 0, 2, 0, 3, 0])
    np.testing.assert_allclose(rewards, np.array([0, 0, 1, 1, 1, -1]) / 49, rtol=1e-6)


def test_k_1_asks_for_the_suit_in_sight():
    rewards = play(RepeatPrevious(num_decks=1, k=1), [2, 0, 3], [2, 0, 0])
    np.testing.assert_allclose(rewards, np.array([1, 1, -1]) / 51, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 31, 51])
def test_right_answers_add_up_to_a_return_of_1_at_every_lag(k):
    suits = np.random.default_rng(k).permutation(np.arange(52) % 4).tolist()
    answers = [0] * (k - 1) + suits
    rewards = play(RepeatPrevious(num_decks=1, k=k), suits, answers[:51])
    assert np.sum(rewards) == pytest.approx(1.0)
    assert np.count_nonzero(rewards) == 52 - k


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "4"])
def test_a_lag_that_is_no_positive_integer_is_refused(k):
    with pytest.raises(ValueError, match=r"`k` should be a positive integer\. Received: k="):
        RepeatPrevious(num_decks=1, k=k)


def test_a_lag_of_a_whole_deck_is_refused():
    with pytest.raises(ValueError, match=r"`k` should be at most 51.*Received: k=52, num_decks=1"):
        envs.make("RepeatPreviousEasy", k=52)


@pytest.mark.parametrize("num_decks", [0, 2.0, None])
def test_a_number_of_decks_that_is_no_positive_integer_is_refused(num_decks):
    with pytest.raises(ValueError, match=r"`num_decks` should be a positive integer\. Received"):
        RepeatPrevious(num_decks=num_decks)
