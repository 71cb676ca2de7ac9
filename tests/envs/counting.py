"""An environment that keeps the protocol, to be broken in one place at a time."""

import gymnasium
from keras import ops

from keras_s5rl.envs import Environment


class Counting(Environment):
    """Counts its steps and never ends by itself; a step pays the action, or 1 if it is a class."""

    observation_space = gymnasium.spaces.Box(0.0, 1e6, (1,))
    action_space = gymnasium.spaces.Discrete(3)
    max_episode_steps = 7

    def draw_initial(self, key, num_envs):
        return {"start": ops.zeros((num_envs,), dtype="int32")}

    def initial(self, draws):
        never = ops.zeros_like(draws["start"], dtype="bool")
        return {"time": draws["start"], "terminated": never}

    def transition(self, state, action, draws):
        never = ops.zeros_like(state["terminated"])
        is_box = isinstance(self.action_space, gymnasium.spaces.Box)
        reward = action[:, 0] if is_box else ops.ones_like(state["time"], dtype="float32")
        return {**state, "time": state["time"] + 1}, reward, never, never

    def observation(self, state):
        return ops.expand_dims(ops.cast(state["time"], "float32"), 1)


def broken(base=Counting, **members):
    """Returns a `Counting` with other members, of a class called `Broken`."""
    return type("Broken", (base,), members)()
