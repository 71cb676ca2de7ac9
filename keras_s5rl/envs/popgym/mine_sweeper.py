"""`MineSweeper`: open every clear cell, remembering the numbers seen."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer, check_positive_integers
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import boards, choice
from keras_s5rl.typing import Array, Tensor, Tensors

ENVIRONMENTS = {
    "MineSweeper": {
        "MineSweeperEasy": {"dims": (4, 4), "num_mines": 2},
        "MineSweeperMedium": {"dims": (6, 6), "num_mines": 6},
        "MineSweeperHard": {"dims": (8, 8), "num_mines": 10},
    }
}

_CLEAR = 0
_MINE = 1
_VIEWED = 2


class MineSweeper(Environment):
    """POPGym's MineSweeper: open the clear cells of a board one by one, without seeing the board.

    An action `[row, column]` opens a cell. The observation is the number of mines in the block of
    `3 x 3` cells around it, the cell included, and 0 before the first action. With `L` clear cells

        reward_t = 1 / L               for a clear cell, which is then viewed
        reward_t = -0.5 / (L - 2)      for a cell that was viewed before
        reward_t = -0.5 - 1 / L        for a mine

    The episode terminates with a mine or with the last clear cell, else it is truncated after `L`
    steps: whoever views a cell twice cannot win. The best return is 1, the worst -1. Every set of
    `num_mines` cells is equally likely.

    Args:
        dims: Two integers, rows and columns of the board.
        num_mines: Integer, mines on the board. At least 3 cells are clear.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("MineSweeperHard").max_episode_steps
    54
    """

    def __init__(self, dims: tuple[int, int] = (4, 4), num_mines: int = 2) -> None:
        check_positive_integers("dims", dims, largest=64)
        if len(dims) != 2:
            raise ValueError(f"`dims` should be two integers. Received: dims={dims}")
        height, width = dims
        check_positive_integer("num_mines", num_mines)
        num_clear = height * width - num_mines
        if num_clear < 3:
            raise ValueError(
                "`num_mines` should leave at least 3 clear cells. Choose fewer mines or a larger "
                f"board. Received: num_mines={num_mines}, dims={dims}"
            )
        self.dims = (height, width)
        self.num_mines = num_mines
        self.observation_space = gymnasium.spaces.Discrete(min(num_mines + 1, 10))
        self.action_space = gymnasium.spaces.MultiDiscrete([height, width])
        self.max_episode_steps = num_clear
        self._is_in_block = _is_in_block(height, width)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        words = choice.draw_words(key, (num_envs, self.num_mines))
        return {"mines_flat": choice.choose_subset(words, self.dims[0] * self.dims[1])}

    def initial(self, draws: Tensors) -> Tensors:
        mines_flat = ops.cast(draws["mines_flat"], "int32")
        cells = np.arange(self.dims[0] * self.dims[1], dtype="int32")
        is_mine = ops.any(ops.equal(ops.expand_dims(mines_flat, 2), cells), axis=1)
        num_near = ops.matmul(ops.cast(is_mine, "float32"), self._is_in_block)
        time = ops.zeros_like(mines_flat[:, 0])
        return {
            "board": ops.cast(is_mine, "int8"),  # 0 clear, 1 mine, 2 viewed
            "num_near": ops.cast(num_near, "int8"),
            "shown": ops.cast(time, "int8"),
            "num_viewed": ops.zeros_like(time),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        num_clear = self.max_episode_steps
        cell = boards.cell_index(action, self.dims[1])
        code = boards.read(state["board"], cell)
        is_clear, is_mine = ops.equal(code, _CLEAR), ops.equal(code, _MINE)
        reward = ops.where(is_mine, -0.5 - 1.0 / num_clear, -0.5 / (num_clear - 2))
        reward = ops.where(is_clear, 1.0 / num_clear, reward)
        num_viewed = state["num_viewed"] + ops.cast(is_clear, "int32")
        time = state["time"] + 1
        terminated = ops.logical_or(is_mine, num_viewed >= num_clear)
        truncated = ops.logical_and(time >= num_clear, ops.logical_not(terminated))
        state = {
            "board": boards.write(state["board"], cell, ops.where(is_clear, _VIEWED, code)),
            "num_near": state["num_near"],
            "shown": boards.read(state["num_near"], cell),
            "num_viewed": num_viewed,
            "time": time,
            "terminated": terminated,
        }
        return state, ops.cast(reward, "float32"), terminated, truncated

    def observation(self, state: Tensors) -> Tensor:
        return ops.cast(state["shown"], "int32")


def _is_in_block(height: int, width: int) -> Array:
    """Which cells are in the block around which, float32 `(height * width, height * width)`."""
    rows, columns = np.divmod(np.arange(height * width), width)
    is_near = (np.abs(rows[:, None] - rows) <= 1) & (np.abs(columns[:, None] - columns) <= 1)
    return is_near.astype("float32")
