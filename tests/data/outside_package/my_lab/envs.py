"""`Parity`: an environment of one's own."""

from typing import Any

import gymnasium
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs import Environment


class Parity(Environment):
    """Shows a bit a step and rewards the agent for saying whether it has seen an odd number of
    ones.

    Args:
        length: Integer, the steps of an episode.
    """

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length: int = 8) -> None:
        self.max_episode_steps = length

    def draw_initial(self, key: Any, num_envs: int) -> dict[str, Any]:
        shape = (num_envs, self.max_episode_steps + 1)
        return {"bits": random.randint(key, shape, 0, 2)}

    def initial(self, draws: dict[str, Any]) -> dict[str, Any]:
        time = ops.zeros_like(draws["bits"][:, 0])
        return {"bits": draws["bits"], "time": time, "terminated": ops.zeros_like(time, "bool")}

    def transition(
        self, state: dict[str, Any], action: Any, draws: dict[str, Any]
    ) -> tuple[dict[str, Any], Any, Any, Any]:
        bits, time = state["bits"], state["time"]
        seen = ops.cast(ops.arange(bits.shape[1]) <= time[:, None], "int32")
        parity = ops.sum(bits * seen, axis=1) % 2
        reward = ops.cast(action == parity, "float32") / self.max_episode_steps
        terminated = time + 1 >= self.max_episode_steps
        state = {**state, "time": time + 1, "terminated": terminated}
        return state, reward, terminated, ops.zeros_like(terminated)

    def observation(self, state: dict[str, Any]) -> Any:
        return ops.take_along_axis(state["bits"], state["time"][:, None], axis=1)[:, 0]
