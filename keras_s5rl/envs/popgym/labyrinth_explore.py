"""`LabyrinthExplore`: visit every cell of a maze."""

from keras import ops

from keras_s5rl.envs.popgym import boards, labyrinth, mazes
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "LabyrinthExplore": {
        "LabyrinthExploreEasy": {"maze_dims": (10, 10)},
        "LabyrinthExploreMedium": {"maze_dims": (14, 14)},
        "LabyrinthExploreHard": {"maze_dims": (18, 18)},
    }
}


class LabyrinthExplore(labyrinth.Labyrinth):
    """POPGym's LabyrinthExplore: visit all corridors of a maze, seeing the next cells only.

    Maze, actions and observation are described at `Labyrinth`; visited cells are not marked, and
    the way out is walled up. With `F` corridor cells, the start not counted,

        reward_t = 1 / F in a cell for the first time, else -1 / episode_length

    The episode terminates with the last new cell and is truncated after `episode_length - 1` steps;
    both may happen in one step.

    Args:
        maze_dims: Two even integers from 4: twice the cells along each side of the maze.
        episode_length: Integer from 2.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("LabyrinthExploreHard").max_episode_steps
    1023
    """

    _end_code = mazes.WALL

    def initial(self, draws: Tensors) -> Tensors:
        state = super().initial(draws)
        is_corridor = ops.cast(ops.equal(state["board"], mazes.CORRIDOR), "int32")
        num_corridors = ops.sum(is_corridor, axis=1)
        explored = boards.write(ops.zeros_like(state["board"]), self._cell(state["position"]), 1)
        return {
            **state,
            "explored": explored,
            "num_unexplored": num_corridors,
            "reward_of_new_cell": 1.0 / ops.cast(num_corridors, "float32"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        state = self._walk(state, action)
        cell = self._cell(state["position"])
        is_new = ops.equal(boards.read(state["explored"], cell), 0)
        num_unexplored = state["num_unexplored"] - ops.cast(is_new, "int32")
        terminated = ops.equal(num_unexplored, 0)
        reward = ops.where(is_new, state["reward_of_new_cell"], -1.0 / self.episode_length)
        state = {
            **state,
            "explored": boards.write(state["explored"], cell, 1),
            "num_unexplored": num_unexplored,
            "terminated": terminated,
        }
        return state, reward, terminated, state["time"] >= self.max_episode_steps
