"""`Autoencode`: watch a pile of cards, then name their suits in reverse order."""

import gymnasium
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import cards
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "Autoencode": {
        "AutoencodeEasy": {"num_decks": 1},
        "AutoencodeMedium": {"num_decks": 2},
        "AutoencodeHard": {"num_decks": 3},
    }
}


class Autoencode(Environment):
    """POPGym's Autoencode: watch a pile of cards, then name their suits in reverse order.

    The observation is `[mode, suit]`, mode 1 for watching and 0 for playing. With
    `N = 52 * num_decks` cards and `suit_t` the suit of the card dealt at time `t`,

        observation_t = [1, suit_t]        for t < N - 1
        observation_t = [0, suit_{N-1}]    for t = N - 1: the last card comes with the change
        observation_t = [0, 0]             after that
        reward_t = 0                                            for t < N - 1
        reward_t = +1 / N if action_t == suit_{2N-2-t}, else -1 / N

    so that `N` steps are scored, from the last card back to the first, and the return lies in
    `[-1, 1]`. The episode terminates at step `2N - 2`.

    Args:
        num_decks: Integer, decks of 52 cards in the pile.

    Raises:
        ValueError: If `num_decks` is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("AutoencodeEasy").max_episode_steps
    103
    """

    def __init__(self, num_decks: int = 1) -> None:
        check_positive_integer("num_decks", num_decks, cards.MAX_DECKS)
        self.num_decks = num_decks
        self.observation_space = gymnasium.spaces.Tuple(
            (gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(cards.NUM_SUITS))
        )
        self.action_space = gymnasium.spaces.Discrete(cards.NUM_SUITS)
        self._num_cards = cards.CARDS_PER_DECK * num_decks
        self.max_episode_steps = 2 * self._num_cards - 1

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"deck_idx": cards.draw_decks(key, num_envs, self.num_decks)}

    def initial(self, draws: Tensors) -> Tensors:
        suits = cards.suits(cards.deal(draws["deck_idx"]))
        time = ops.zeros_like(suits[:, 0], dtype="int32")
        return {"suits": suits, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        last = self._num_cards - 1
        time = state["time"]
        target = cards.card_at(state["suits"], last - ops.abs(time - last))
        reward = ops.where(ops.equal(action, target), 1.0, -1.0) / self._num_cards
        reward = ops.where(time >= last, reward, 0.0)
        time = time + 1
        terminated = time >= self.max_episode_steps
        state = {"suits": state["suits"], "time": time, "terminated": terminated}
        return state, ops.cast(reward, "float32"), terminated, ops.zeros_like(terminated)

    def observation(self, state: Tensors) -> Tensor:
        last = self._num_cards - 1
        time = state["time"]
        suit = cards.card_at(state["suits"], ops.minimum(time, last))
        suit = ops.where(time <= last, suit, 0)
        return ops.stack([ops.cast(time < last, "int32"), suit], axis=1)
