"""`RepeatPrevious`: name the suit seen `k - 1` cards ago."""

import gymnasium
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import cards
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "RepeatPrevious": {
        "RepeatPreviousEasy": {"num_decks": 1, "k": 4},
        "RepeatPreviousMedium": {"num_decks": 2, "k": 32},
        "RepeatPreviousHard": {"num_decks": 3, "k": 64},
    }
}


class RepeatPrevious(Environment):
    """POPGym's RepeatPrevious: name the suit that was shown `k - 1` steps ago.

    Each step shows the suit of a new card and asks for the suit shown `k - 1` steps before it.
    With `N = 52 * num_decks` cards and `suit_t` the suit of the card dealt at time `t`, step `t` is
    worth

        reward_t = 0                                        for t < k - 1
        reward_t = +1 / (N - k) if action_t == suit_{t-k+1}, else -1 / (N - k)

    so that `N - k` steps are scored and the return lies in `[-1, 1]`. The episode terminates at
    step `N - 2`, when the last card is shown.

    Args:
        num_decks: Integer, decks of 52 cards in the pile.
        k: Integer, `1 <= k < N`: how many suits have to be kept in mind, the current one included.
            With `k=1` the answer is the suit in sight.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("RepeatPreviousHard").max_episode_steps
    155
    >>> envs.make("RepeatPreviousEasy", k=8).k
    8
    """

    def __init__(self, num_decks: int = 1, k: int = 4) -> None:
        check_positive_integer("num_decks", num_decks, cards.MAX_DECKS)
        num_cards = cards.CARDS_PER_DECK * num_decks
        check_positive_integer("k", k)
        if k >= num_cards:
            raise ValueError(
                f"`k` should be at most {num_cards - 1}, one less than the number of cards. Choose "
                f"a smaller lag or more decks. Received: k={k}, num_decks={num_decks}"
            )
        self.num_decks = num_decks
        self.k = k
        self.observation_space = gymnasium.spaces.Discrete(cards.NUM_SUITS)
        self.action_space = gymnasium.spaces.Discrete(cards.NUM_SUITS)
        self.max_episode_steps = num_cards - 1
        self._reward_scale = 1.0 / (num_cards - k)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"deck_idx": cards.draw_decks(key, num_envs, self.num_decks)}

    def initial(self, draws: Tensors) -> Tensors:
        suits = cards.suits(cards.deal(draws["deck_idx"]))
        time = ops.zeros_like(suits[:, 0], dtype="int32")
        return {"suits": suits, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        time = state["time"]
        asked = time - (self.k - 1)
        target = cards.card_at(state["suits"], ops.maximum(asked, 0))
        reward = ops.where(ops.equal(action, target), self._reward_scale, -self._reward_scale)
        reward = ops.where(asked >= 0, reward, 0.0)
        time = time + 1
        terminated = time >= self.max_episode_steps
        state = {"suits": state["suits"], "time": time, "terminated": terminated}
        return state, ops.cast(reward, "float32"), terminated, ops.zeros_like(terminated)

    def observation(self, state: Tensors) -> Tensor:
        return cards.card_at(state["suits"], state["time"])
