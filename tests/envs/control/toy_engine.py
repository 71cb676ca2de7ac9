"""An engine whose every number can be worked out by hand."""

from keras import ops

from keras_s5rl import random

PAIR = ("reacher_easy", "cartpole_balance")


class ToyEngine:
    """Two coordinates that move as the controls ask, in the place of `ControlEngine`."""

    observation_sizes, observation_size = (6, 5), 6
    control_sizes = (2, 1)
    time_steps = (0.02, 0.01)

    def __init__(self, tasks):
        assert tasks == PAIR
        self.tasks = tasks

    def draw_starts(self, key, task, num_trials):
        return {"qpos": random.uniform(key, (task.shape[0], num_trials, 2), -1.0, 1.0)}

    def constants(self, task, scales=None):
        push = 0.3 + 0.1 * ops.cast(task, "float32")
        return {
            "push": push if scales is None else push * scales["gear"],
            "falls": ops.equal(task, PAIR.index("cartpole_balance")),
        }

    def step(self, constants, body, control):
        return {"qpos": body["qpos"] + constants["push"][:, None] * control}

    def reward(self, constants, body, control):
        return 1.0 / (1.0 + ops.sum(ops.square(body["qpos"]), axis=1) + ops.square(control[:, 0]))

    def has_fallen(self, constants, body):
        return ops.logical_and(constants["falls"], ops.abs(body["qpos"][:, 0]) > 1.5)

    def observation(self, constants, body):
        first, second = ops.unstack(body["qpos"], 2, axis=1)
        features = [5.0 * first, ops.cos(first), ops.sin(second), second, first, first * second]
        return ops.stack(features, axis=1)
