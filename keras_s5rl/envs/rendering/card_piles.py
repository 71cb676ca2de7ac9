"""Renderers of the games that deal one pile of cards."""

import math
from typing import Any

from keras_s5rl.envs.rendering.canvas import MUTED, Canvas
from keras_s5rl.envs.rendering.playing_cards import (
    ROW_HEIGHT,
    ROW_LENGTH,
    SUIT_NAMES,
    card_name,
    draw_card,
    draw_empty,
    draw_pile,
    draw_row,
)
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.typing import Array

RENDERERS = {
    "popgym.autoencode:Autoencode": "AutoencodeRenderer",
    "popgym.higher_lower:HigherLower": "HigherLowerRenderer",
    "popgym.repeat_first:RepeatFirst": "RepeatFirstRenderer",
    "popgym.repeat_previous:RepeatPrevious": "RepeatPreviousRenderer",
}

_WIDTH, _TABLE = 430, 186
_MIDDLE = 84


class _SuitsRenderer(Renderer):
    """A pile of suits: the one asked for, the one in sight, and the rest of the pile."""

    seconds_per_step = 0.5

    def name_action(self, env: Any, action: Any) -> str:
        return SUIT_NAMES[int(action)]

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        suits, time = state["suits"], int(state["time"])
        asked, seen = self.asked(env, state), self.seen(state)
        in_sight, wanted = (
            "-" if place is None else card_name("suits", suits[place]) for place in (seen, asked)
        )
        num_left = max(len(suits) - 1 - time, 0)
        return f"in sight {in_sight}  asked for {wanted}  {num_left} cards to come"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        suits, time = state["suits"], int(state["time"])
        asked, seen = self.asked(env, state), self.seen(state)
        for x, place, label in ((75, asked, "asked for"), (215, seen, "in sight")):
            canvas.text(x, 14, label, 13, MUTED, "mm")
            if place is None:
                draw_empty(canvas, x, _MIDDLE, 116)
            else:
                draw_card(canvas, x, _MIDDLE, 116, "suits", suits[place], is_faint=place != seen)
        draw_pile(canvas, 360, _MIDDLE + 6, 104, max(len(suits) - 1 - time, 0), len(suits))

    def seen(self, state: dict[str, Any]) -> int | None:
        """Returns which card the agent sees, an index of the pile or `None`."""
        return int(state["time"])

    def asked(self, env: Any, state: dict[str, Any]) -> int | None:
        """Returns which card the agent is asked for, an index of the pile or `None`."""
        raise NotImplementedError


class RepeatFirstRenderer(_SuitsRenderer):
    """`RepeatFirst`: the first card, and the one in sight."""

    def size(self, env: Any) -> tuple[int, int]:
        return _WIDTH, _TABLE

    def asked(self, env: Any, state: dict[str, Any]) -> int | None:
        return 0


class RepeatPreviousRenderer(_SuitsRenderer):
    """`RepeatPrevious`: the card asked for, the one in sight, and the `k` that are to be kept."""

    def size(self, env: Any) -> tuple[int, int]:
        return _WIDTH, _TABLE + 6 + ROW_HEIGHT * math.ceil(env.k / ROW_LENGTH)

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        kept = " ".join(card_name("suits", suit) for suit in self._kept(env, state))
        return f"{super().describe(env, state, action)}\nlast {env.k} cards {kept}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        super().draw(canvas, env, state, action)
        marked = None if self.asked(env, state) is None else 0
        draw_row(canvas, 20, _TABLE, self._kept(env, state), marked)

    def asked(self, env: Any, state: dict[str, Any]) -> int | None:
        asked = int(state["time"]) - (env.k - 1)
        return asked if asked >= 0 else None

    def _kept(self, env: Any, state: dict[str, Any]) -> Array:
        time = int(state["time"])
        return state["suits"][max(time - env.k + 1, 0) : time + 1]


class AutoencodeRenderer(_SuitsRenderer):
    """`Autoencode`: the cards watched so far, then the one to be named among them."""

    def size(self, env: Any) -> tuple[int, int]:
        num_cards = (env.max_episode_steps + 1) // 2
        return _WIDTH, _TABLE + 6 + ROW_HEIGHT * math.ceil(num_cards / ROW_LENGTH)

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        watched = " ".join(card_name("suits", suit) for suit in self._watched(state))
        mode = "watch" if self.asked(env, state) is None else "play"
        return f"{mode}  {super().describe(env, state, action)}\nwatched {watched}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        super().draw(canvas, env, state, action)
        draw_row(canvas, 20, _TABLE, self._watched(state), self.asked(env, state))

    def seen(self, state: dict[str, Any]) -> int | None:
        time = int(state["time"])
        return time if time < len(state["suits"]) else None

    def asked(self, env: Any, state: dict[str, Any]) -> int | None:
        asked = 2 * (len(state["suits"]) - 1) - int(state["time"])
        return asked if 0 <= asked < len(state["suits"]) else None

    def _watched(self, state: dict[str, Any]) -> Array:
        return state["suits"][: int(state["time"]) + 1]


class HigherLowerRenderer(Renderer):
    """`HigherLower`: the card in sight and the one before it."""

    seconds_per_step = 0.5

    def size(self, env: Any) -> tuple[int, int]:
        return _WIDTH, _TABLE

    def name_action(self, env: Any, action: Any) -> str:
        return ("higher", "lower")[int(action)]

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        time = int(state["time"])
        in_sight, before = self._name(state, time), self._name(state, time - 1)
        num_left = len(state["ranks"]) - 1 - time
        return f"in sight {in_sight}  before {before}  {num_left} cards to come"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        time = int(state["time"])
        for x, place, label in ((75, time - 1, "before"), (215, time, "in sight")):
            canvas.text(x, 14, label, 13, MUTED, "mm")
            if place < 0:
                draw_empty(canvas, x, _MIDDLE, 116)
                continue
            suit, rank = int(state["suits"][place]), state["ranks"][place]
            draw_card(canvas, x, _MIDDLE, 116, "suits", suit, is_faint=place != time, rank=rank)
        num_left = len(state["ranks"]) - 1 - time
        draw_pile(canvas, 360, _MIDDLE + 6, 104, num_left, len(state["ranks"]))

    def _name(self, state: dict[str, Any], place: int) -> str:
        if place < 0:
            return "-"
        return "".join(card_name(of, state[of][place]) for of in ("suits", "ranks"))
