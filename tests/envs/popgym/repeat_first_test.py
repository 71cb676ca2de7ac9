import numpy as np
import pytest
from keras import ops

from keras_s5rl.envs.popgym.repeat_first import RepeatFirst


def test_every_step_asks_for_the_suit_of_the_first_card():
    deck_idx = np.arange(52, dtype="int32")[None]  # 51 is dealt first: suit 3
    env = RepeatFirst(num_decks=1)
    state = env.initial({"deck_idx": ops.convert_to_tensor(deck_idx)})
    rewards, suits = [], [int(ops.convert_to_numpy(env.observation(state))[0])]
    for action in [3, 3, 2, 3]:
        action = ops.convert_to_tensor(np.array([action], "int32"))
        state, reward, *_ = env.transition(state, action, {})
        rewards.append(float(ops.convert_to_numpy(reward)[0]))
        suits.append(int(ops.convert_to_numpy(env.observation(state))[0]))
    np.testing.assert_allclose(rewards, np.array([1, 1, -1, 1]) / 51, rtol=1e-6)
    assert suits == [3, 2, 1, 0, 3]


@pytest.mark.parametrize("num_decks", [0, 1.0, False])
def test_a_number_of_decks_that_is_no_positive_integer_is_refused(num_decks):
    with pytest.raises(ValueError, match=r"`num_decks` should be a positive integer\. Received"):
        RepeatFirst(num_decks=num_decks)
