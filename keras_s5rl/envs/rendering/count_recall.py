"""The renderer of `CountRecall`."""

from typing import Any

from keras_s5rl.envs.rendering.canvas import BLUE, GOLD, INK, MUTED, Canvas, faint
from keras_s5rl.envs.rendering.playing_cards import card_name, draw_card, draw_symbol
from keras_s5rl.envs.rendering.renderer import Renderer

RENDERERS = {"popgym.count_recall:CountRecall": "CountRecallRenderer"}

_ROW = 19
_BARS = 300


class CountRecallRenderer(Renderer):
    """`CountRecall`: the card shown, the one asked for, and how often each was shown (faint)."""

    seconds_per_step = 0.5

    def size(self, env: Any) -> tuple[int, int]:
        return 460, max(186, 34 + _ROW * int(env.observation_space.nvec[0]))

    def name_action(self, env: Any, action: Any) -> str:
        return f"{int(action)} times"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        value, query = self._cards(state)
        names = [card_name(env.deck_type, index) for index in range(len(state["counts"]))]
        counts = "  ".join(
            f"{name}: {count}" for name, count in zip(names, state["counts"].tolist(), strict=True)
        )
        return f"shown {names[value]}  asked for {names[query]}\ncounts {counts}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        value, query = self._cards(state)
        for x, card, label, edge in ((70, value, "shown", None), (180, query, "how many?", GOLD)):
            canvas.text(x, 14, label, 13, MUTED, "mm")
            draw_card(canvas, x, 84, 116, env.deck_type, card, edge=edge)
        most = int(env.action_space.n) - 1
        canvas.text(_BARS - 26, 14, "shown so far", 13, MUTED)
        for index, count in enumerate(state["counts"].tolist()):
            y = 34 + _ROW * (index + 0.5)
            draw_symbol(canvas, _BARS - 16, y, 8, env.deck_type, index)
            canvas.rectangle(_BARS, y - 6, 1 + 110 * count / most, 12, faint(BLUE), radius=2)
            color = INK if index == query else MUTED
            canvas.text(_BARS + 6 + 110 * count / most, y, str(count), 13, color)
            if index == query:
                canvas.rectangle(_BARS - 30, y - 9, 176, 18, None, GOLD, 4, 1.5)

    def _cards(self, state: dict[str, Any]) -> tuple[int, int]:
        time = int(state["time"])
        return int(state["values"][time]), int(state["queries"][time])
