"""Playing cards: faces, backs, piles, and rows of small cards."""

import math
from typing import Any

from keras_s5rl.envs.rendering.canvas import (
    BLUE,
    FAINT,
    GOLD,
    INK,
    MUTED,
    PAPER,
    RED,
    WHITE,
    Canvas,
    blend,
)
from keras_s5rl.typing import Array

# In POPGym's order.
SUIT_NAMES = ("spades", "diamonds", "clubs", "hearts")
ROW_LENGTH, ROW_HEIGHT = 26, 18  # of `draw_row`: cards in a row, and pixels
_RANK_SIGNS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
_SIGNS = {"suits": "♠♦♣♥", "colors": ("black", "red"), "ranks": _RANK_SIGNS}
_BACK = blend(BLUE, INK, 0.25)
_EDGE = blend(FAINT, MUTED, 0.4)
_HEART = [
    (
        math.sin(t) ** 3,
        (-13 * math.cos(t) + 5 * math.cos(2 * t) + 2 * math.cos(3 * t) + math.cos(4 * t)) / 16,
    )
    for t in (2 * math.pi * i / 40 for i in range(40))
]


def card_name(deck_type: str, value: Any) -> str:
    """Returns a class of cards as text; `deck_type` is `"suits"`, `"colors"` or `"ranks"`."""
    return _SIGNS[deck_type][int(value)]


def draw_symbol(
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    deck_type: str,
    value: int,
    is_faint: bool = False,
) -> None:
    """Draws the class of a card around `(x, y)`: a suit's sign, a disk of a colour, or a rank."""
    value = int(value)
    color = _color(value % 2 == 1 and deck_type != "ranks", is_faint)
    if deck_type == "colors":
        canvas.circle(x, y, 0.85 * radius, color)
    elif deck_type == "ranks":
        canvas.text(x, y, _RANK_SIGNS[value], 1.7 * radius, color, "mm")
    else:
        _SUITS[value](canvas, x, y, radius, color)


def draw_card(
    canvas: Canvas,
    x: float,
    y: float,
    height: float,
    deck_type: str,
    value: int,
    is_faint: bool = False,
    edge: str | None = None,
    rank: int | None = None,
) -> None:
    """Draws a card, face up, around `(x, y)`; its width is 0.7 of its height.

    Args:
        canvas: `Canvas`.
        x, y: Numbers, the card's middle.
        height: Number.
        deck_type: What is shown, see `card_name`.
        value: Integer, the class.
        is_faint: Whether the agent does not see it.
        edge: Colour of a mark around the card, or `None`.
        rank: Integer, a rank written above and below the symbol, or `None`.
    """
    width = 0.7 * height
    left, top, radius = x - width / 2, y - height / 2, max(3, 0.07 * height)
    canvas.rectangle(left, top, width, height, WHITE, edge or _EDGE, radius, 2 if edge else 1)
    draw_symbol(canvas, x, y, 0.22 * height, deck_type, value, is_faint)
    if rank is not None:
        for side in (-1, 1):
            place = x + side * 0.3 * width, y + side * 0.38 * height
            color = _color(value % 2 == 1, is_faint)
            canvas.text(*place, _RANK_SIGNS[int(rank)], 0.17 * height, color, "mm")


def draw_back(canvas: Canvas, x: float, y: float, height: float) -> None:
    """Draws a card, face down, around `(x, y)`."""
    width, radius = 0.7 * height, max(3, 0.07 * height)
    canvas.rectangle(x - width / 2, y - height / 2, width, height, _BACK, WHITE, radius)
    inset = 0.09 * height
    canvas.rectangle(
        x - width / 2 + inset,
        y - height / 2 + inset,
        width - 2 * inset,
        height - 2 * inset,
        None,
        blend(_BACK, WHITE, 0.4),
        max(2, radius - inset / 2),
    )


def draw_empty(canvas: Canvas, x: float, y: float, height: float) -> None:
    """Draws the place of a card that is not there."""
    width = 0.7 * height
    canvas.rectangle(
        x - width / 2, y - height / 2, width, height, None, FAINT, 0.07 * height, line=1.5
    )


def draw_pile(
    canvas: Canvas, x: float, y: float, height: float, num_left: int, num_cards: int
) -> None:
    """Draws the cards still to come: a pile that shrinks, and their number."""
    num_shown = math.ceil(7 * num_left / num_cards)
    if num_shown == 0:
        draw_empty(canvas, x, y, height)
    for index in range(num_shown):
        draw_back(canvas, x - 1.5 * index, y - 2 * index, height)
    canvas.text(x, y + height / 2 + 16, f"{num_left} to come", 13, MUTED, "mm")


def draw_row(canvas: Canvas, x: float, y: float, suits: Array, marked: int | None = None) -> None:
    """Draws suits as small faint signs, row by row from `(x, y)`, with a mark around one."""
    for index, suit in enumerate(suits):
        row, column = divmod(index, ROW_LENGTH)
        left, top = x + 15 * column, y + ROW_HEIGHT * row
        if index == marked:
            canvas.rectangle(left, top, 15, 17, WHITE, GOLD, 3, 1.5)
        draw_symbol(canvas, left + 7.5, top + 8.5, 5.4, "suits", suit, is_faint=index != marked)


def _color(is_red: bool, is_faint: bool) -> str:
    color = RED if is_red else INK
    return blend(color, PAPER, 0.62) if is_faint else color


def _spade(canvas: Canvas, x: float, y: float, radius: float, color: str) -> None:
    canvas.polygon([(x + radius * u, y - radius * (0.15 + 0.85 * v)) for u, v in _HEART], color)
    _stem(canvas, x, y, radius, color)


def _diamond(canvas: Canvas, x: float, y: float, radius: float, color: str) -> None:
    points = [(0, -1.1), (0.78, 0), (0, 1.1), (-0.78, 0)]
    canvas.polygon([(x + radius * u, y + radius * v) for u, v in points], color)


def _club(canvas: Canvas, x: float, y: float, radius: float, color: str) -> None:
    for u, v in ((0, -0.5), (-0.52, 0.2), (0.52, 0.2)):
        canvas.circle(x + radius * u, y + radius * v, 0.46 * radius, color)
    canvas.circle(x, y, 0.25 * radius, color)
    _stem(canvas, x, y, radius, color)


def _heart(canvas: Canvas, x: float, y: float, radius: float, color: str) -> None:
    canvas.polygon([(x + radius * u, y + radius * v) for u, v in _HEART], color)


def _stem(canvas: Canvas, x: float, y: float, radius: float, color: str) -> None:
    points = [(0, -0.1), (0.4, 1.05), (-0.4, 1.05)]
    canvas.polygon([(x + radius * u, y + radius * v) for u, v in points], color)


_SUITS = (_spade, _diamond, _club, _heart)
