"""An environment with any observation and action space, for the tests of all of them."""

import functools

import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs import Environment, spaces
from keras_s5rl.envs.gymnasium.values import single_to_array


class AnySpaces(Environment):
    """Shows drawn samples of its observation space; an episode of three steps pays the share of an
    action's numbers that are the lowest of their range (0 where that is infinite)."""

    max_episode_steps = 3

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    @functools.cached_property
    def values(self):
        """What it shows, one after the other."""
        self.observation_space.seed(3)
        samples = [self.observation_space.sample() for _ in range(5)]
        return np.concatenate([single_to_array(self.observation_space, s) for s in samples])

    @functools.cached_property
    def best(self):
        low, _ = spaces.value_bounds(self.action_space)
        return np.where(np.isfinite(low), low, 0).astype("float32").reshape(-1)

    def draw_initial(self, key, num_envs):
        return {"index": random.randint(key, (num_envs,), 0, len(self.values))}

    def initial(self, draws):
        never = ops.zeros_like(draws["index"], dtype="bool")
        time = ops.zeros_like(draws["index"])
        return {"index": draws["index"], "time": time, "terminated": never}

    def transition(self, state, action, draws):
        numbers = ops.reshape(ops.cast(action, "float32"), (-1, len(self.best)))
        reward = ops.mean(ops.cast(ops.equal(numbers, self.best), "float32"), axis=1)
        index = ops.mod(state["index"] + 1, len(self.values))
        time = state["time"] + 1
        terminated = time >= self.max_episode_steps
        state = {"index": index, "time": time, "terminated": terminated}
        return state, reward, terminated, ops.zeros_like(terminated)

    def observation(self, state):
        return ops.take(ops.convert_to_tensor(self.values), state["index"], axis=0)
