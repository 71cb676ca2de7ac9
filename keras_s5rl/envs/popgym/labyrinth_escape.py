"""`LabyrinthEscape`: find the way out of a maze."""

from keras import ops

from keras_s5rl.envs.popgym import boards, labyrinth
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "LabyrinthEscape": {
        "LabyrinthEscapeEasy": {"maze_dims": (10, 10)},
        "LabyrinthEscapeMedium": {"maze_dims": (14, 14)},
        "LabyrinthEscapeHard": {"maze_dims": (18, 18)},
    }
}


class LabyrinthEscape(labyrinth.Labyrinth):
    """POPGym's LabyrinthEscape: find the goal of a maze, seeing the next cells only.

    Maze, actions and observation are described at `Labyrinth`. The goal is an opening of the outer
    wall opposite the start. Every step costs

        reward_t = -1 / episode_length, and 1 more at the goal

    The episode terminates at the goal and is truncated after `episode_length - 1` steps; both may
    happen in one step.

    Args:
        maze_dims: Two even integers from 4: twice the cells along each side of the maze.
        episode_length: Integer from 2.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("LabyrinthEscapeHard").maze_dims
    (18, 18)
    """

    _end_code = labyrinth.GOAL

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        state = self._walk(state, action)
        code = boards.read(state["board"], self._cell(state["position"]))
        terminated = ops.equal(code, labyrinth.GOAL)
        reward = ops.cast(terminated, "float32") - 1.0 / self.episode_length
        truncated = state["time"] >= self.max_episode_steps
        return {**state, "terminated": terminated}, reward, terminated, truncated
