"""Renderers of the games on a board of cells."""

from typing import Any

import numpy as np

from keras_s5rl.envs.rendering.canvas import (
    BLUE,
    FAINT,
    GOLD,
    GREEN,
    INK,
    MUTED,
    RED,
    WATER,
    WHITE,
    Canvas,
    blend,
)
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.typing import Array

RENDERERS = {
    "popgym.battleship:Battleship": "BattleshipRenderer",
    "popgym.mine_sweeper:MineSweeper": "MineSweeperRenderer",
}

_SHIP = blend(WATER, INK, 0.22)
_NUMBER_COLORS = (FAINT, BLUE, GREEN, RED, "#5b3f9e", "#8a3b1c", "#2a8a94", INK, INK, INK)


class _BoardRenderer(Renderer):
    """A board, each cell a letter in text and a square in the picture, the last one marked.

    A subclass defines `progress`, `letters` and `draw_cell`.
    """

    seconds_per_step = 0.4

    def progress(self, env: Any, state: dict[str, Any]) -> str:
        raise NotImplementedError

    def letters(self, env: Any, state: dict[str, Any], action: Any) -> Array:
        """Returns an array of one letter for each cell."""
        raise NotImplementedError

    def draw_cell(self, canvas: Canvas, x: float, y: float, size: float, letter: str) -> None:
        raise NotImplementedError

    def size(self, env: Any) -> tuple[int, int]:
        rows, columns = (int(n) for n in env.action_space.nvec)
        return max(400, 40 + self._cell_size(env) * columns), 44 + self._cell_size(env) * rows

    def name_action(self, env: Any, action: Any) -> str:
        row, column = (int(index) for index in action)
        return f"row {row + 1}, column {column + 1}"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        rows = self.letters(env, state, action)
        return "\n".join([self.progress(env, state), *(" ".join(row) for row in rows)])

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        size, letters = self._cell_size(env), self.letters(env, state, action)
        left, top = (self.size(env)[0] - size * letters.shape[1]) / 2, 32
        canvas.text(16, 14, self.progress(env, state), 13, MUTED)
        for (row, column), letter in np.ndenumerate(letters):
            self.draw_cell(canvas, left + size * column, top + size * row, size, letter)
        if action is not None:
            x, y = left + size * int(action[1]), top + size * int(action[0])
            canvas.rectangle(x, y, size, size, None, GOLD, 4, line=2.5)

    def _cell_size(self, env: Any) -> int:
        return max(16, min(60, 288 // int(max(env.action_space.nvec))))


class BattleshipRenderer(_BoardRenderer):
    """`Battleship`: ships `#` (faint), misses `o`, hits `x`."""

    def progress(self, env: Any, state: dict[str, Any]) -> str:
        num_ship_cells = sum(env.ship_sizes)
        return f"hit {int(state['num_hits'])} of {num_ship_cells} cells of ships"

    def letters(self, env: Any, state: dict[str, Any], action: Any) -> Array:
        return np.array(list(".#ox"))[state["board"]].reshape(env.board_size, env.board_size)

    def draw_cell(self, canvas: Canvas, x: float, y: float, size: float, letter: str) -> None:
        fill = _SHIP if letter in "#x" else WATER
        canvas.rectangle(x + 1, y + 1, size - 2, size - 2, fill, radius=3)
        middle_x, middle_y, radius = x + size / 2, y + size / 2, size / 5
        if letter == "o":
            canvas.circle(middle_x, middle_y, radius, WHITE, MUTED)
        elif letter == "x":
            for side in (-1, 1):
                ends = [(middle_x - radius, middle_y - side * radius)]
                ends.append((middle_x + radius, middle_y + side * radius))
                canvas.line(ends, RED, size / 8)


class MineSweeperRenderer(_BoardRenderer):
    """`MineSweeper`: numbers of viewed cells, mines `*` (faint), an opened mine `X`."""

    def progress(self, env: Any, state: dict[str, Any]) -> str:
        num_viewed, num_clear = int(state["num_viewed"]), env.max_episode_steps
        return f"viewed {num_viewed} of {num_clear} clear cells, {env.num_mines} mines (*)"

    def letters(self, env: Any, state: dict[str, Any], action: Any) -> Array:
        codes, numbers = (state[name].reshape(env.dims) for name in ("board", "num_near"))
        letters = np.where(codes == 2, numbers.astype("U1"), np.array(list(".* "))[codes])
        if action is not None and letters[tuple(action)] == "*":
            letters[tuple(action)] = "X"
        return letters

    def draw_cell(self, canvas: Canvas, x: float, y: float, size: float, letter: str) -> None:
        middle_x, middle_y = x + size / 2, y + size / 2
        fill = RED if letter == "X" else WHITE if letter.isdigit() else FAINT
        canvas.rectangle(x + 1, y + 1, size - 2, size - 2, fill, FAINT, 4)
        if letter.isdigit():
            color = _NUMBER_COLORS[int(letter)]
            canvas.text(middle_x, middle_y, letter, 0.55 * size, color, "mm")
        elif letter in "*X":
            color = INK if letter == "X" else blend(FAINT, INK, 0.3)
            canvas.circle(middle_x, middle_y, size / 5, color)
