"""`RepeatFirst`: name the suit of the first card at every step."""

import gymnasium
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import cards
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "RepeatFirst": {
        "RepeatFirstEasy": {"num_decks": 1},
        "RepeatFirstMedium": {"num_decks": 8},
        "RepeatFirstHard": {"num_decks": 16},
    }
}


class RepeatFirst(Environment):
    """POPGym's RepeatFirst: name the suit of the first card.

    Each step shows the suit of a new card and asks for the suit of the very first one.
    With `N = 52 * num_decks` cards and `suit_t` the suit of the card dealt at time `t`, every step,
    the first included, is worth

        reward_t = +1 / (N - 1) if action_t == suit_0, else -1 / (N - 1)

    so that the return lies in `[-1, 1]`. The episode terminates at step `N - 2`, when the last card
    is shown.

    Args:
        num_decks: Integer, decks of 52 cards in the pile.

    Raises:
        ValueError: If `num_decks` is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("RepeatFirstHard").max_episode_steps
    831
    """

    def __init__(self, num_decks: int = 1) -> None:
        check_positive_integer("num_decks", num_decks, cards.MAX_DECKS)
        self.num_decks = num_decks
        self.observation_space = gymnasium.spaces.Discrete(cards.NUM_SUITS)
        self.action_space = gymnasium.spaces.Discrete(cards.NUM_SUITS)
        self.max_episode_steps = cards.CARDS_PER_DECK * num_decks - 1
        self._reward_scale = 1.0 / self.max_episode_steps

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"deck_idx": cards.draw_decks(key, num_envs, self.num_decks)}

    def initial(self, draws: Tensors) -> Tensors:
        suits = cards.suits(cards.deal(draws["deck_idx"]))
        time = ops.zeros_like(suits[:, 0], dtype="int32")
        return {"suits": suits, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        target = ops.cast(state["suits"][:, 0], "int32")
        reward = ops.where(ops.equal(action, target), self._reward_scale, -self._reward_scale)
        time = state["time"] + 1
        terminated = time >= self.max_episode_steps
        state = {"suits": state["suits"], "time": time, "terminated": terminated}
        return state, ops.cast(reward, "float32"), terminated, ops.zeros_like(terminated)

    def observation(self, state: Tensors) -> Tensor:
        return cards.card_at(state["suits"], state["time"])
