"""A test double: episodes of given lengths, numbered."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl.envs import Environment


class Numbered(Environment):
    """Episodes are numbered in the order of drawing; the numbers' lengths are given.

    Shows `[number, time]`. Even numbers terminate, odd ones are truncated, multiples of 5 do both.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, lengths):
        self.lengths = np.array(lengths, "int32")
        self.max_episode_steps = int(self.lengths.max())
        self.num_draws = 0

    def draw_initial(self, key, num_envs):
        number = np.arange(num_envs, dtype="int32") + self.num_draws * num_envs
        self.num_draws += 1
        return {"number": ops.convert_to_tensor(number)}

    def initial(self, draws):
        number = draws["number"]
        return {
            "number": number,
            "length": ops.take(self.lengths, number % len(self.lengths)),
            "time": ops.zeros_like(number),
            "terminated": ops.zeros_like(number, dtype="bool"),
        }

    def transition(self, state, action, draws):
        time, number = state["time"] + 1, state["number"]
        over = time >= state["length"]
        terminated = ops.logical_and(over, ops.logical_or(number % 2 == 0, number % 5 == 0))
        truncated = ops.logical_and(over, ops.logical_or(number % 2 == 1, number % 5 == 0))
        reward = ops.cast(number, "float32") + 0.5
        return {**state, "time": time, "terminated": terminated}, reward, terminated, truncated

    def observation(self, state):
        return ops.cast(ops.stack([state["number"], state["time"]], axis=1), "float32")
