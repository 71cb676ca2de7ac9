"""`Labyrinth`: what POPGym's two labyrinths have in common."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer, check_positive_integers
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import boards, mazes
from keras_s5rl.typing import Tensor, Tensors

START = 2
GOAL = 3
_MOVES = np.array([[0, -1], [0, 1], [-1, 0], [1, 0]], "int32")  # left, right, up, down
_NO_ACTION = 4


class Labyrinth(Environment):
    """Base class of POPGym's labyrinths: walk through a maze, seeing the next cells only.

    The maze is a grid of `H x W` cells, each corridor (0), wall (1), start (2) or goal (3), and the
    walk begins at the start, an opening in the outer wall. Actions go left (0), right (1), up (2)
    and down (3); a step into a wall or out of the grid stays in place.

    The observation is nine codes and the previous action (4 at the start). The codes are those of
    rows `max(y - 1, 0) .. min(y + 1, H - 1)` and likewise columns around the position `(y, x)`,
    filled up to `3 x 3` by walls *below and to the right*: so the walker stands in the middle of
    the view, but in its first row at the upper edge of the grid and in its first column at the left
    edge. It is as in popgym.

    A subclass defines `transition` and `_end_code`, the code of the opening opposite the start.

    Args:
        maze_dims: Two even integers from 4, `H - 1` and `W - 1`.
        episode_length: Integer from 2. An episode is truncated one step earlier, as in popgym.

    Raises:
        ValueError: If an argument is out of its range.
    """

    _end_code: int | None = None

    def __init__(self, maze_dims: tuple[int, int] = (10, 10), episode_length: int = 1024) -> None:
        check_positive_integers("maze_dims", maze_dims, largest=64)
        check_positive_integer("episode_length", episode_length)
        if len(maze_dims) != 2 or any(size % 2 or size < 4 for size in maze_dims):
            raise ValueError(
                "`maze_dims` should be two even integers of at least 4: twice the cells along each "
                f"side. Received: maze_dims={maze_dims}"
            )
        if episode_length < 2:
            raise ValueError(
                "`episode_length` should be at least 2: an episode has one step less. Received: "
                f"episode_length={episode_length}"
            )
        self.maze_dims = tuple(maze_dims)
        self.episode_length = episode_length
        self.observation_space = gymnasium.spaces.MultiDiscrete([5] * 10)
        self.action_space = gymnasium.spaces.Discrete(4)
        self.max_episode_steps = episode_length - 1

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        rows, columns = (size // 2 for size in self.maze_dims)
        grid, start, end = mazes.draw_mazes(key, num_envs, rows, columns)
        board = boards.write(self._board(grid), self._cell(start), START)
        board = boards.write(board, self._cell(end), self._end_code)
        return {"grid": ops.reshape(board, ops.shape(grid)), "start": start, "end": end}

    def initial(self, draws: Tensors) -> Tensors:
        start = ops.cast(draws["start"], "int32")
        time = ops.zeros_like(start[:, 0])
        return {
            "board": self._board(draws["grid"]),
            "position": start,
            "previous_action": ops.full_like(time, _NO_ACTION),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def observation(self, state: Tensors) -> Tensor:
        position = state["position"]
        first_seen = ops.maximum(position - 1, 0)
        last_seen = ops.minimum(position + 1, np.array(self.maze_dims, "int32"))
        seen = ops.stack([first_seen, first_seen + 1, first_seen + 2], axis=2)
        in_view = seen <= ops.expand_dims(last_seen, 2)
        seen = ops.minimum(seen, ops.expand_dims(last_seen, 2))
        # Rows down and columns across the view, 3 x 3.
        row, column = (ops.expand_dims(seen[:, i], 2 - i) for i in (0, 1))
        row_in_view, column_in_view = (ops.expand_dims(in_view[:, i], 2 - i) for i in (0, 1))
        cell = ops.reshape(row * (self.maze_dims[1] + 1) + column, (-1, 9))
        in_view = ops.reshape(ops.logical_and(row_in_view, column_in_view), (-1, 9))
        codes = ops.cast(ops.take_along_axis(state["board"], cell, axis=1), "int32")
        codes = ops.where(in_view, codes, mazes.WALL)
        return ops.concatenate([codes, ops.expand_dims(state["previous_action"], 1)], axis=1)

    def info(self, state: Tensors) -> Tensors:
        """Returns `position`, int32 `(num_envs, 2)`: `[x, y]`, column first, as in popgym."""
        return {"position": ops.flip(state["position"], axis=1)}

    def _walk(self, state: Tensors, action: Tensor) -> Tensors:
        """Returns the state with position, previous action and time after a step."""
        action = ops.cast(action, "int32")
        target = state["position"] + ops.take(_MOVES, action, axis=0)
        target = ops.clip(target, 0, np.array(self.maze_dims, "int32"))
        is_wall = ops.equal(boards.read(state["board"], self._cell(target)), mazes.WALL)
        position = ops.where(ops.expand_dims(is_wall, 1), state["position"], target)
        return {
            **state,
            "position": position,
            "previous_action": action,
            "time": state["time"] + 1,
        }

    def _board(self, grid: Tensor) -> Tensor:
        height, width = (size + 1 for size in self.maze_dims)
        return ops.reshape(ops.cast(grid, "int8"), (-1, height * width))

    def _cell(self, position: Tensor) -> Tensor:
        return boards.cell_index(position, self.maze_dims[1] + 1)
