"""The renderer of `MemoryChain`."""

from typing import Any

from keras_s5rl.envs.rendering.canvas import (
    BLUE,
    FAINT,
    GOLD,
    INK,
    MUTED,
    PAPER,
    WHITE,
    Canvas,
    blend,
)
from keras_s5rl.envs.rendering.renderer import Renderer

RENDERERS = {"memory_chain:MemoryChain": "MemoryChainRenderer"}

_COLUMNS, _PITCH = 16, 24


class MemoryChainRenderer(Renderer):
    """The bits of the context, faint where they are not shown, the one asked for, and the way."""

    seconds_per_step = 0.3

    def size(self, env: Any) -> tuple[int, int]:
        return 424, 92 + _PITCH * -(-env.num_bits // _COLUMNS)

    def name_action(self, env: Any, action: Any) -> str:
        return f"bit {int(action)}"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        bits = " ".join(str(bit) for bit in state["context"].tolist())
        return f"context {bits}\n{self._phase(env, state)}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        canvas.text(16, 14, self._phase(env, state), 13, MUTED)
        is_shown, is_asked = self._is_shown(state), self._is_asked(env, state)
        for index, bit in enumerate(state["context"].tolist()):
            row, column = divmod(index, _COLUMNS)
            x, y = 20 + _PITCH * column, 36 + _PITCH * row
            color = BLUE if bit else FAINT
            fill = color if is_shown else blend(color, PAPER, 0.6)
            label = MUTED if not is_shown else WHITE if bit else INK
            edge = GOLD if is_asked and index == state["query"] else MUTED
            canvas.rectangle(x, y, 20, 20, fill, edge, 4, 2.5 if edge == GOLD else 0.5)
            canvas.text(x + 10, y + 10, str(bit), 13, label, "mm")
        y = self.size(env)[1] - 28
        way = min(int(state["time"]) / env.memory_length, 1.0)
        canvas.rectangle(20, y, 384, 8, FAINT, radius=4)
        canvas.rectangle(20, y, 8 + 376 * way, 8, BLUE, radius=4)

    def _is_shown(self, state: dict[str, Any]) -> bool:
        return state["time"] <= 1

    def _is_asked(self, env: Any, state: dict[str, Any]) -> bool:
        return max(int(state["time"]) - 1, 0) == env.memory_length - 1

    def _phase(self, env: Any, state: dict[str, Any]) -> str:
        if self._is_asked(env, state):
            return f"asked for bit {int(state['query'])}"
        if self._is_shown(state):
            return "the context is shown"
        left = env.memory_length - int(state["time"])
        return f"steps to the question: {left}" if left > 0 else "the answer was given"
