"""`CountRecall`: say how often a class of cards has been shown."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import cards
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "CountRecall": {
        "CountRecallEasy": {"num_decks": 1, "deck_type": "colors"},
        "CountRecallMedium": {"num_decks": 2, "deck_type": "suits"},
        "CountRecallHard": {"num_decks": 4, "deck_type": "ranks"},
    }
}


class CountRecall(Environment):
    """POPGym's CountRecall: say how often the class of cards asked for has been shown.

    Two piles are dealt side by side: each step shows the class `v_t` of a card of the first and
    asks by the class `q_t` of a card of the second. The observation is `[v_t, q_t]`, and with
    `N = 52 * num_decks` cards every step, the first included, is worth

        reward_t = +1 / (N - 1) if action_t == number of i <= t with v_i == q_t, else -1 / (N - 1)

    so that the return lies in `[-1, 1]`. The episode terminates at step `N - 2`, when the last
    cards are shown. `info` holds `counts`, int32 `(num_envs, classes)`: how often each class has
    been shown.

    Args:
        num_decks: Integer, decks of 52 cards in each pile.
        deck_type: `"colors"`, `"suits"` or `"ranks"`, what distinguishes cards: 2, 4 or 13
            classes.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.make("CountRecallHard")
    >>> env.max_episode_steps, int(env.action_space.n)
    (207, 17)
    """

    def __init__(self, num_decks: int = 1, deck_type: str = "colors") -> None:
        check_positive_integer("num_decks", num_decks, cards.MAX_DECKS)
        cards.check_deck_type(deck_type)
        self.num_decks = num_decks
        self.deck_type = deck_type
        self._class_of, self._num_classes = cards.DECK_TYPES[deck_type]
        num_cards = cards.CARDS_PER_DECK * num_decks
        self.observation_space = gymnasium.spaces.MultiDiscrete([self._num_classes] * 2)
        self.action_space = gymnasium.spaces.Discrete(num_cards // self._num_classes + 1)
        self.max_episode_steps = num_cards - 1
        self._reward_scale = 1.0 / self.max_episode_steps

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        value_key, query_key = ops.unstack(random.split(key), 2)
        return {
            "value_deck_idx": cards.draw_decks(value_key, num_envs, self.num_decks),
            "query_deck_idx": cards.draw_decks(query_key, num_envs, self.num_decks),
        }

    def initial(self, draws: Tensors) -> Tensors:
        values = self._class_of(cards.deal(draws["value_deck_idx"]))
        queries = self._class_of(cards.deal(draws["query_deck_idx"]))
        time = ops.zeros_like(values[:, 0], dtype="int32")
        return {
            "values": values,
            "queries": queries,
            "counts": self._count(cards.card_at(values, time)),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        query = cards.card_at(state["queries"], state["time"])
        answer = cards.card_at(state["counts"], query)
        reward = ops.where(ops.equal(action, answer), self._reward_scale, -self._reward_scale)
        time = state["time"] + 1
        terminated = time >= self.max_episode_steps
        state = {
            **state,
            "counts": state["counts"] + self._count(cards.card_at(state["values"], time)),
            "time": time,
            "terminated": terminated,
        }
        return state, ops.cast(reward, "float32"), terminated, ops.zeros_like(terminated)

    def observation(self, state: Tensors) -> Tensor:
        time = state["time"]
        shown = [cards.card_at(state[pile], time) for pile in ("values", "queries")]
        return ops.stack(shown, axis=1)

    def info(self, state: Tensors) -> Tensors:
        return {"counts": state["counts"]}

    def _count(self, value: Tensor) -> Tensor:
        """Returns int32 `(num_envs, classes)`: 1 at the class of each value."""
        classes = np.arange(self._num_classes, dtype="int32")
        return ops.cast(ops.equal(ops.expand_dims(value, 1), classes), "int32")
