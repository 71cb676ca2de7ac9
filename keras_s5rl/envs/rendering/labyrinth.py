"""The renderer of the two labyrinths."""

from typing import Any

import numpy as np

from keras_s5rl.envs.rendering.canvas import (
    BLUE,
    GOLD,
    GREEN,
    INK,
    MUTED,
    PAPER,
    WHITE,
    Canvas,
    blend,
)
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.typing import Array

RENDERERS = {"popgym.labyrinth:Labyrinth": "LabyrinthRenderer"}

_FILLS = {"#": INK, " ": WHITE, ".": blend(WHITE, BLUE, 0.22), "S": GREEN, "G": GOLD}
_UNSEEN_FILLS = {letter: blend(fill, PAPER, 0.6) for letter, fill in _FILLS.items()}
_MOVES = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}


class LabyrinthRenderer(Renderer):
    """A maze: walls `#`, start `S`, goal `G`, explored cells `.`, and the walker `@`.

    Cells outside of the walker's view are faint. An arrow is the last move, also one into a wall.
    """

    seconds_per_step = 0.12

    def size(self, env: Any) -> tuple[int, int]:
        height, width = (size + 1 for size in env.maze_dims)
        cell = self._cell_size(env)
        return max(400, 40 + cell * width), 40 + cell * height

    def name_action(self, env: Any, action: Any) -> str:
        return ("left", "right", "up", "down")[int(action)]

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        letters = self._letters(env, state)
        letters[tuple(state["position"])] = "@"
        return "\n".join([self._progress(state), *("".join(row) for row in letters)])

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        letters, cell = self._letters(env, state), self._cell_size(env)
        left, top = (self.size(env)[0] - cell * letters.shape[1]) / 2, 30
        canvas.text(16, 13, self._progress(state), 13, MUTED)
        y, x = (int(place) for place in state["position"])
        for (row, column), letter in np.ndenumerate(letters):
            is_seen = abs(row - y) <= 1 and abs(column - x) <= 1
            fill = (_FILLS if is_seen else _UNSEEN_FILLS)[letter]
            canvas.rectangle(left + cell * column, top + cell * row, cell, cell, fill)
        middle = left + cell * (x + 0.5), top + cell * (y + 0.5)
        canvas.circle(*middle, 0.38 * cell, BLUE)
        move = _MOVES.get(int(state["previous_action"]))
        if move is not None:
            start, end = (
                (middle[0] + side * move[0] * cell, middle[1] + side * move[1] * cell)
                for side in (-0.2, 0.05)
            )
            canvas.arrow([start, end], WHITE, 0.12 * cell)

    def _letters(self, env: Any, state: dict[str, Any]) -> Array:
        shape = [size + 1 for size in env.maze_dims]
        letters = np.array(list(" #SG"))[state["board"]]
        if "explored" in state:
            letters = np.where((state["explored"] == 1) & (letters == " "), ".", letters)
        return letters.reshape(shape)

    def _progress(self, state: dict[str, Any]) -> str:
        if "num_unexplored" in state:
            return f"{int(state['num_unexplored'])} cells to explore"
        y, x = (int(place) for place in state["position"])
        return f"at row {y + 1}, column {x + 1}"

    def _cell_size(self, env: Any) -> int:
        return max(8, 330 // (max(env.maze_dims) + 1))
