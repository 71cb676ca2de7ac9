"""Environments with which a training goes wrong, to see how it ends."""

import gymnasium
from keras import ops

from keras_s5rl.envs import Environment


class InfiniteReward(Environment):
    """Rewards of 1, and of infinity from the 50th step of an endless episode."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), "float32")
    action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 1000

    def draw_initial(self, key, num_envs):
        return {"start": ops.zeros((num_envs,), dtype="int32")}

    def initial(self, draws):
        return {"time": draws["start"], "terminated": ops.zeros_like(draws["start"], dtype="bool")}

    def transition(self, state, action, draws):
        time = state["time"] + 1
        never = ops.zeros_like(state["terminated"])
        reward = ops.where(time >= 50, float("inf"), 1.0)
        return {"time": time, "terminated": never}, reward, never, never

    def observation(self, state):
        return ops.cast(state["time"], "float32")[:, None] / 1000.0
