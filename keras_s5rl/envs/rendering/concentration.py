"""The renderer of `Concentration`."""

from typing import Any

from keras_s5rl.envs.rendering.canvas import GOLD, MUTED, Canvas
from keras_s5rl.envs.rendering.playing_cards import card_name, draw_back, draw_card
from keras_s5rl.envs.rendering.renderer import Renderer

RENDERERS = {"popgym.concentration:Concentration": "ConcentrationRenderer"}

_COLUMNS = 13
_PITCH_X, _PITCH_Y = 36, 50


class ConcentrationRenderer(Renderer):
    """`Concentration`: the table, with the cards of the last step marked."""

    seconds_per_step = 0.4

    def size(self, env: Any) -> tuple[int, int]:
        num_rows = -(-int(env.action_space.n) // _COLUMNS)
        return 20 + _PITCH_X * _COLUMNS, 38 + _PITCH_Y * num_rows

    def name_action(self, env: Any, action: Any) -> str:
        row, column = divmod(int(action), _COLUMNS)
        return f"row {row + 1}, column {column + 1}"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        seen = self._seen(state)
        names = [
            card_name(env.deck_type, value) if is_seen else "?"
            for value, is_seen in zip(state["classes"], seen, strict=True)
        ]
        width = max(len(card_name(env.deck_type, value)) for value in state["classes"])
        rows = [names[start : start + _COLUMNS] for start in range(0, len(names), _COLUMNS)]
        table = "\n".join(" ".join(name.rjust(width) for name in row) for row in rows)
        return f"{self._progress(state)}\n{table}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        canvas.text(16, 14, self._progress(state), 13, MUTED)
        shown = set(state["shown"].tolist())
        for index, is_seen in enumerate(self._seen(state)):
            row, column = divmod(index, _COLUMNS)
            x, y = 10 + _PITCH_X * (column + 0.5), 30 + _PITCH_Y * (row + 0.5)
            if is_seen:
                edge = GOLD if index in shown else None
                draw_card(canvas, x, y, 44, env.deck_type, state["classes"][index], edge=edge)
            else:
                draw_back(canvas, x, y, 44)

    def _seen(self, state: dict[str, Any]) -> list[bool]:
        shown = set(state["shown"].tolist())
        return [is_up or index in shown for index, is_up in enumerate(state["is_up"].tolist())]

    def _progress(self, state: dict[str, Any]) -> str:
        num_cards, waiting = len(state["is_up"]), int(state["waiting"])
        progress = f"{int(state['is_up'].sum())} of {num_cards} cards up"
        return progress + (", one waits for its pair" if waiting < num_cards else "")
