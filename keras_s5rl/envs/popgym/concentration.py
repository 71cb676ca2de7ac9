"""`Concentration`: find pairs of cards that lie face down."""

import math

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import cards
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "Concentration": {
        "ConcentrationEasy": {"num_decks": 1, "deck_type": "colors"},
        "ConcentrationMedium": {"num_decks": 2, "deck_type": "colors"},
        "ConcentrationHard": {"num_decks": 1, "deck_type": "ranks"},
    }
}

_MAX_DECKS = 100  # every card is in every observation


class Concentration(Environment):
    """POPGym's Concentration (memory, pairs): turn up all cards, two of a class at a time.

    `N = 52 * num_decks` cards of `K` classes lie face down; an action turns one of them. The
    observation has an entry for each card: its class, or `K` where it is face down. The two cards
    of a failed pair are seen once more, and lie face down from the next step on. With
    `L = ceil(2N - N / (2N - 1))`, a step is worth

        2 / N       if it turns the second card of a pair; both stay up
        0           if it turns a first card
        -2 / L      if it turns a second card of another class, or the first card again
        -1 / L      if it chooses a card that is up already; -2 / L after a first card, which goes
                    down again

    so that the return is at most 1. The episode terminates when all cards are up and is truncated
    after `L` steps; both may happen in one step.

    Args:
        num_decks: Integer, decks of 52 cards on the table.
        deck_type: `"colors"`, `"suits"` or `"ranks"`, what distinguishes cards: `K` is 2, 4 or
            13. An odd number of cards of a class, as of suits in one deck, leaves cards without a
            mate.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.make("ConcentrationMedium")
    >>> env.max_episode_steps, int(env.action_space.n)
    (208, 104)
    """

    def __init__(self, num_decks: int = 1, deck_type: str = "colors") -> None:
        check_positive_integer("num_decks", num_decks, _MAX_DECKS)
        cards.check_deck_type(deck_type)
        self.num_decks = num_decks
        self.deck_type = deck_type
        self._class_of, self._face_down = cards.DECK_TYPES[deck_type]
        self._num_cards = cards.CARDS_PER_DECK * num_decks
        self._positions = np.arange(self._num_cards, dtype="int32")
        self.observation_space = gymnasium.spaces.MultiDiscrete(
            [self._face_down + 1] * self._num_cards
        )
        self.action_space = gymnasium.spaces.Discrete(self._num_cards)
        self.max_episode_steps = math.ceil(
            2 * self._num_cards - self._num_cards / (2 * self._num_cards - 1)
        )

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"deck_idx": cards.draw_decks(key, num_envs, self.num_decks)}

    def initial(self, draws: Tensors) -> Tensors:
        classes = self._class_of(draws["deck_idx"])
        time = ops.zeros_like(classes[:, 0], dtype="int32")
        nowhere = ops.full_like(time, self._num_cards)
        return {
            "classes": classes,
            "is_up": ops.zeros_like(classes, dtype="bool"),
            # Positions, `num_cards` standing for none: the card that waits for its second, and the
            # two that the last step showed.
            "waiting": nowhere,
            "shown": ops.stack([nowhere, nowhere], axis=1),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        classes, is_up, first = state["classes"], state["is_up"], state["waiting"]
        second = ops.cast(action, "int32")
        is_second = first < self._num_cards
        was_up = cards.card_at(is_up, second) > 0
        is_first = ops.logical_not(ops.logical_or(is_second, was_up))
        first_class = cards.card_at(classes, ops.minimum(first, self._num_cards - 1))
        is_pair = ops.logical_and(
            ops.logical_and(is_second, ops.logical_not(was_up)),
            ops.logical_and(first_class == cards.card_at(classes, second), first != second),
        )

        shown = ops.stack([first, second], axis=1)
        stays_up = ops.logical_and(ops.expand_dims(is_pair, 1), self._is_among(shown))
        is_up = ops.logical_or(is_up, stays_up)
        penalty = ops.where(is_second, 2.0, 1.0) / -self.max_episode_steps
        reward = ops.where(is_pair, 2.0 / self._num_cards, ops.where(is_first, 0.0, penalty))
        time = state["time"] + 1
        terminated = ops.all(is_up, axis=1)
        state = {
            "classes": classes,
            "is_up": is_up,
            "waiting": ops.where(is_first, second, self._num_cards),
            "shown": shown,
            "time": time,
            "terminated": terminated,
        }
        return state, ops.cast(reward, "float32"), terminated, time >= self.max_episode_steps

    def observation(self, state: Tensors) -> Tensor:
        is_seen = ops.logical_or(state["is_up"], self._is_among(state["shown"]))
        return ops.cast(ops.where(is_seen, state["classes"], self._face_down), "int32")

    def _is_among(self, pair: Tensor) -> Tensor:
        """Returns bool `(num_envs, num_cards)`: whether a position is one of two."""
        first, second = ops.split(pair, 2, axis=1)
        return ops.logical_or(ops.equal(first, self._positions), ops.equal(second, self._positions))
