"""`Battleship`: sink hidden ships, remembering where the shots fell."""

from collections.abc import Sequence

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.envs.arguments import check_positive_integer, check_positive_integers
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.popgym import boards, choice
from keras_s5rl.typing import Array, Tensor, Tensors

ENVIRONMENTS = {
    "Battleship": {
        "BattleshipEasy": {"board_size": 8},
        "BattleshipMedium": {"board_size": 10},
        "BattleshipHard": {"board_size": 12},
    }
}

_SHIP = 1
_SHOT_AT = 2  # added to what a cell holds


class Battleship(Environment):
    """POPGym's Battleship: hit all cells of hidden ships on a board of `B x B` cells.

    An action `[row, column]` shoots at a cell. The observation is 1 if that shot hit a ship, and 0
    if not or before the first shot; nothing shows where the earlier shots fell. With `n` cells of
    ships in all, 12 by default,

        reward_t = 1 / n for a hit, else -1 / (B^2 - n)

    where to shoot at a cell again is a miss, whatever it holds. The episode terminates with hit
    number `n` and is truncated after `B^2` steps; both may happen in one step. The best return is
    1. Ships are placed one after the other, each uniformly among the straight placements that
    overlap no earlier ship; they may touch.

    Args:
        board_size: Integer `B`, cells along a side of the board.
        ship_sizes: Sequence of integers, the cells of each ship, in the order of placing.

    Raises:
        ValueError: If an argument is out of its range, or if a ship might not find room.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("BattleshipHard").max_episode_steps
    144
    """

    def __init__(self, board_size: int = 8, ship_sizes: Sequence[int] = (2, 3, 3, 4)) -> None:
        check_positive_integer("board_size", board_size, largest=32)
        check_positive_integers("ship_sizes", ship_sizes, largest=32)
        num_cells = board_size**2
        num_ship_cells = sum(ship_sizes)
        # Room is certain if the cells of the earlier ships are too few to block every row.
        has_room = all(
            sum(ship_sizes[:i]) < board_size * (board_size // size)
            for i, size in enumerate(ship_sizes)
        )
        if not (has_room and 0 < num_ship_cells < num_cells):
            raise ValueError(
                "`ship_sizes` should hold at least one ship, leave room for each wherever the "
                "earlier ones lie, and leave some water. Choose a larger board, or fewer or "
                f"shorter ships. Received: ship_sizes={ship_sizes}, board_size={board_size}"
            )
        self.board_size = board_size
        self.ship_sizes = tuple(ship_sizes)
        self.observation_space = gymnasium.spaces.Discrete(2)
        self.action_space = gymnasium.spaces.MultiDiscrete([board_size, board_size])
        self.max_episode_steps = num_cells
        self._num_ship_cells = num_ship_cells
        self._miss_reward = -1.0 / (num_cells - num_ship_cells)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        words = choice.draw_words(key, (num_envs, len(self.ship_sizes)))
        return {"board": place_ships(words, self.board_size, self.ship_sizes)}

    def initial(self, draws: Tensors) -> Tensors:
        board = ops.reshape(ops.cast(draws["board"], "int8"), (-1, self.board_size**2))
        time = ops.zeros_like(board[:, 0], dtype="int32")
        return {
            "board": board,  # 0 water, 1 ship, 2 a miss, 3 a hit
            "hit": ops.zeros_like(time, dtype="bool"),
            "num_hits": ops.zeros_like(time),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        cell = boards.cell_index(action, self.board_size)
        code = boards.read(state["board"], cell)
        hit = ops.equal(code, _SHIP)
        num_hits = state["num_hits"] + ops.cast(hit, "int32")
        time = state["time"] + 1
        terminated = num_hits >= self._num_ship_cells
        reward = ops.where(hit, 1.0 / self._num_ship_cells, self._miss_reward)
        state = {
            "board": boards.write(
                state["board"], cell, ops.where(code < _SHOT_AT, code + _SHOT_AT, code)
            ),
            "hit": hit,
            "num_hits": num_hits,
            "time": time,
            "terminated": terminated,
        }
        return state, ops.cast(reward, "float32"), terminated, time >= self.max_episode_steps

    def observation(self, state: Tensors) -> Tensor:
        return ops.cast(state["hit"], "int32")


def place_ships(words: Tensor, board_size: int, ship_sizes: Sequence[int]) -> Tensor:
    """Places ships one after the other, each uniformly where it overlaps no earlier one.

    Args:
        words: int32 tensor of shape `(num_envs, num_ships)` of random words, see `choice`.
        board_size: Integer `B`.
        ship_sizes: Sequence of `num_ships` integers.

    Returns:
        int8 tensor of shape `(num_envs, B, B)`: 1 where a ship lies, else 0.
    """
    occupied = 0.0
    for i, size in enumerate(ship_sizes):
        placements = _placements(board_size, size)
        if i == 0:
            placement = ops.mod(words[:, 0], len(placements))
        else:
            num_overlaps = ops.matmul(occupied, placements.T)
            placement = choice.choose(words[:, i], ops.equal(num_overlaps, 0.0))
        occupied = occupied + ops.take(placements, placement, axis=0)
    return ops.cast(ops.reshape(occupied, (-1, board_size, board_size)), "int8")


def _placements(board_size: int, ship_size: int) -> Array:
    """All placements of a ship, float32 `(2 B (B - size + 1), B * B)`, 1 on its cells."""
    starts = range(board_size - ship_size + 1)
    windows = np.array([[s <= i < s + ship_size for i in range(board_size)] for s in starts])
    across = np.einsum("yr,sx->ysrx", np.eye(board_size), windows)
    down = np.einsum("sr,xc->sxrc", windows, np.eye(board_size))
    cells = board_size**2
    return np.concatenate([across.reshape(-1, cells), down.reshape(-1, cells)]).astype("float32")
