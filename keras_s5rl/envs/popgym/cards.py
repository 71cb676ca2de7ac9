"""Decks of cards, shared by POPGym's card games.

Card `c` of a pile of one or more decks of 52 has rank `(c % 52) // 4` (0 ace ... 12 king), suit
`c % 4` (spades, diamonds, clubs, hearts) and colour `c % 2` (0 black, 1 red). Cards are dealt from
the end of `deck_idx`.

Classes of cards are int8: one byte a card, because restarting an episode copies the pile.
"""

from keras import ops

from keras_s5rl import random
from keras_s5rl.typing import Tensor

CARDS_PER_DECK = 52
MAX_DECKS = 1_000
NUM_RANKS = 13
NUM_SUITS = 4
NUM_COLORS = 2


def draw_decks(key: Tensor, num_envs: int, num_decks: int) -> Tensor:
    """Shuffles one pile of cards for each environment.

    Args:
        key: uint32 tensor of shape `(2,)`.
        num_envs: Integer, number of environments.
        num_decks: Integer, number of decks in a pile.

    Returns:
        int32 tensor of shape `(num_envs, 52 * num_decks)`, a uniformly random permutation in each
        row.
    """
    return random.permutation(key, CARDS_PER_DECK * num_decks, batch=(num_envs,))


def deal(deck_idx: Tensor) -> Tensor:
    """Returns the cards of `deck_idx (num_envs, num_cards)` in the order of dealing."""
    return ops.flip(deck_idx, axis=1)


def ranks(cards: Tensor) -> Tensor:
    """Returns the ranks 0 to 12 of card indices, int8 of the same shape."""
    return ops.cast(ops.floor_divide(ops.mod(cards, CARDS_PER_DECK), NUM_SUITS), "int8")


def suits(cards: Tensor) -> Tensor:
    """Returns the suits 0 to 3 of card indices, int8 of the same shape."""
    return ops.cast(ops.mod(cards, NUM_SUITS), "int8")


def colors(cards: Tensor) -> Tensor:
    """Returns the colours 0 and 1 of card indices, int8 of the same shape."""
    return ops.cast(ops.mod(cards, NUM_COLORS), "int8")


# What distinguishes cards: (class of each card, number of classes).
DECK_TYPES = {
    "colors": (colors, NUM_COLORS),
    "suits": (suits, NUM_SUITS),
    "ranks": (ranks, NUM_RANKS),
}


def check_deck_type(deck_type: str) -> None:
    """Raises ValueError unless `deck_type` is one of `DECK_TYPES`."""
    if not isinstance(deck_type, str) or deck_type not in DECK_TYPES:
        raise ValueError(
            f"`deck_type` should be one of {', '.join(map(repr, DECK_TYPES))}: what distinguishes "
            f"cards. Received: deck_type={deck_type!r}"
        )


def card_at(pile: Tensor, time: Tensor) -> Tensor:
    """Returns card number `time` of each pile.

    Args:
        pile: Integer tensor of shape `(num_envs, num_cards)`, in the order of dealing.
        time: int32 tensor of shape `(num_envs,)`.

    Returns:
        int32 tensor of shape `(num_envs,)`.
    """
    card = ops.take_along_axis(pile, ops.expand_dims(time, 1), axis=1)
    return ops.cast(ops.squeeze(card, 1), "int32")
