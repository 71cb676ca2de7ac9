"""Random mazes: the hunt-and-kill algorithm, for all environments at once.

A maze of `rows x columns` cells is a grid of `H x W`, `H = 2 rows + 1` and `W = 2 columns + 1`:
cell `(r, c)` stands at `(2 r + 1, 2 c + 1)`, between the cells and around them are walls.
"""

from typing import Any

import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.popgym import boards, choice
from keras_s5rl.typing import Tensor

CORRIDOR = 0
WALL = 1


def draw_mazes(
    key: Tensor, num_envs: int, rows: int, columns: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draws one maze for each environment.

    Args:
        key: uint32 tensor of shape `(2,)`.
        num_envs: Integer, number of environments.
        rows: Integer, rows of cells.
        columns: Integer, columns of cells.

    Returns:
        `grid, start, end`: int8 `(num_envs, H, W)` of `CORRIDOR` and `WALL`, see `hunt_and_kill`,
        and two int32 `(num_envs, 2)`, positions `[row, column]` in the outer wall, see `entrances`.
    """
    maze_key, entrance_key = ops.unstack(random.split(key), 2)
    words = choice.draw_words(maze_key, (rows * columns, 2, num_envs))
    entrance_words = choice.draw_words(entrance_key, (3, num_envs))
    return hunt_and_kill(words, rows, columns), *entrances(entrance_words, rows, columns)


def hunt_and_kill(words: Tensor, rows: int, columns: int) -> Tensor:
    """Carves mazes by the hunt-and-kill algorithm.

    From a random cell, walk to random unvisited neighbours, and open them and the walls between,
    until there is none (kill). Then walk on from a visited cell that has unvisited neighbours, each
    equally likely (hunt), until all cells are visited. So the corridors are a spanning tree.

    popgym's generator finds the next start of a walk by trying cells at random, and gives up after
    `H * W` tries in all, which can leave a cell closed. Here none is.

    Args:
        words: int32 tensor of shape `(rows * columns, 2, num_envs)` of random words, see `choice`:
            for each cell to visit one for the hunt and one for the step, the first cell by the
            first word alone.
        rows: Integer, rows of cells.
        columns: Integer, columns of cells.

    Returns:
        int8 tensor of shape `(num_envs, H, W)`: `CORRIDOR` or `WALL`.

    Reference: mazelib's `HuntAndKill` with a random order of hunting, which popgym uses.
    """
    height, width = 2 * rows + 1, 2 * columns + 1
    # Cells row by row, with one that is never visited after each row, and a row of these below: so
    # the index of a neighbour outside of the maze, taken round at the ends, is one of these.
    stride, num_cells = columns + 1, (rows + 1) * (columns + 1)
    cells = np.arange(num_cells, dtype="int32")
    row, column = np.divmod(cells, stride)
    in_maze = (row < rows) & (column < columns)
    offsets = np.array([-1, 1, -stride, stride], "int32")
    place = (2 * row + 1) * width + 2 * column + 1  # of a cell in the grid

    def visit_one(carry: Any, words: Tensor) -> Any:
        cell, unvisited = carry
        near_unvisited = ops.roll(unvisited, 1, axis=1)
        for offset in (-1, stride, -stride):
            near_unvisited = ops.logical_or(near_unvisited, ops.roll(unvisited, offset, axis=1))
        visited = ops.logical_and(in_maze, ops.logical_not(unvisited))
        can_start = ops.logical_and(visited, near_unvisited)
        can_go_on = boards.read(can_start, cell)
        cell = ops.where(can_go_on, cell, choice.choose(words[0], can_start))
        neighbours = ops.mod(ops.add(ops.expand_dims(cell, 1), offsets), num_cells)
        is_open = ops.take_along_axis(unvisited, neighbours, axis=1)
        neighbour = boards.read(neighbours, choice.choose(words[1], is_open))
        unvisited = ops.logical_and(unvisited, ops.not_equal(cells, ops.expand_dims(neighbour, 1)))
        return (neighbour, unvisited), (cell, neighbour)

    inside = cells[in_maze]
    first = ops.take(inside, ops.mod(words[0, 0], len(inside)))
    unvisited = ops.logical_and(in_maze, ops.not_equal(cells, ops.expand_dims(first, 1)))
    _, passages = backend.scan(visit_one, (first, unvisited), words[1:])

    cell, neighbour = (ops.take(place, ends) for ends in passages)
    between = ops.floor_divide(cell + neighbour, 2)
    grid = np.arange(height * width, dtype="int32")
    is_open = ops.any(ops.equal(ops.expand_dims(between, 2), grid), axis=0)
    is_open = ops.logical_or(is_open, np.isin(grid, place[in_maze]))
    grid = ops.where(is_open, CORRIDOR, WALL)
    return ops.reshape(ops.cast(grid, "int8"), (-1, height, width))


def entrances(words: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Chooses a start in one side of the outer wall and an end in the opposite one.

    Sides are equally likely, and so are the places next to a cell along each of the two sides.

    Args:
        words: int32 tensor of shape `(3, num_envs)` of random words, see `choice`.
        rows: Integer, rows of cells.
        columns: Integer, columns of cells.

    Returns:
        `start, end`, int32 `(num_envs, 2)` each: `[row, column]` in the grid.
    """
    side = ops.mod(words[0], 4)
    is_top_or_bottom = side < 2
    cells_along = ops.where(is_top_or_bottom, columns, rows)
    across = ops.where(is_top_or_bottom, 2 * rows, 2 * columns)
    start_across = ops.where(ops.equal(ops.mod(side, 2), 0), 0, across)

    def position(across: Tensor, word: Tensor) -> Tensor:
        along = 2 * ops.mod(word, cells_along) + 1
        return ops.stack(
            [
                ops.where(is_top_or_bottom, across, along),
                ops.where(is_top_or_bottom, along, across),
            ],
            axis=1,
        )

    return position(start_across, words[1]), position(across - start_across, words[2])
