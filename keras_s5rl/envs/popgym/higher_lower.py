"""`HigherLower`: guess whether the next card is higher or lower."""

import gymnasium
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import cards
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "HigherLower": {
        "HigherLowerEasy": {"num_decks": 1},
        "HigherLowerMedium": {"num_decks": 2},
        "HigherLowerHard": {"num_decks": 3},
    }
}


class HigherLower(Environment):
    """POPGym's HigherLower: guess whether the next card is higher (0) or lower (1).

    Each step shows the rank of a card, from 0 (ace) to 12 (king). With `N = 52 * num_decks` cards
    and `rank_t` the rank of the card dealt at time `t`,

        reward_t = 0         if rank_{t+1} == rank_t
        reward_t = +1 / N    if (rank_{t+1} > rank_t) == (action_t == 0)
        reward_t = -1 / N    otherwise

    so that the return lies in `(-1, 1)`. The episode terminates at step `N - 2`, when the last card
    is shown. `info` holds `card`, int32 `(num_envs, 2)`: suit and rank of the card in sight.

    Args:
        num_decks: Integer, decks of 52 cards in the pile.

    Raises:
        ValueError: If `num_decks` is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("HigherLowerMedium").max_episode_steps
    103
    """

    def __init__(self, num_decks: int = 1) -> None:
        check_positive_integer("num_decks", num_decks, cards.MAX_DECKS)
        self.num_decks = num_decks
        self.observation_space = gymnasium.spaces.Discrete(cards.NUM_RANKS)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._num_cards = cards.CARDS_PER_DECK * num_decks
        self.max_episode_steps = self._num_cards - 1

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"deck_idx": cards.draw_decks(key, num_envs, self.num_decks)}

    def initial(self, draws: Tensors) -> Tensors:
        dealt = cards.deal(draws["deck_idx"])
        time = ops.zeros_like(dealt[:, 0])
        return {
            "ranks": cards.ranks(dealt),
            "suits": cards.suits(dealt),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        time = state["time"] + 1
        difference = cards.card_at(state["ranks"], time) - self.observation(state)
        signed = ops.where(ops.equal(action, 0), difference, -difference)
        terminated = time >= self.max_episode_steps
        reward = ops.cast(ops.sign(signed), "float32") / self._num_cards
        state = {**state, "time": time, "terminated": terminated}
        return state, reward, terminated, ops.zeros_like(terminated)

    def observation(self, state: Tensors) -> Tensor:
        return cards.card_at(state["ranks"], state["time"])

    def info(self, state: Tensors) -> Tensors:
        suit = cards.card_at(state["suits"], state["time"])
        return {"card": ops.stack([suit, self.observation(state)], axis=1)}
