"""`BallInCup`: dm_control's ball in a cup, stepped by MJX."""

import itertools
from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.mujoco.mjx_physics import MjxPhysics
from keras_s5rl.envs.mujoco.planar import first_free, point_to_segment
from keras_s5rl.typing import Tensor, Tensors

# The corners of the cup's walls, seen from its body, and the places of the bodies (m).
_WALLS = (
    np.array([[-50, 0], [-50, -75], [-25, -100], [25, -100], [50, -75], [50, 0]], "float32") / 1e3
)
_CUP = np.array([0.0, 0.6])
_TARGET = np.array([0.0, 0.55])
_BALL = np.array([0.0, 0.2])
_TOUCHES = 0.025 + 0.008  # radius of the ball and of the walls
_TARGET_REACH = 0.05 - 0.025  # half width of the target less the ball's radius


class BallInCup:
    """The task `ball_in_cup_catch`: swing the ball on a string into the cup.

    The methods are those of `MujocoEngine`. A body holds `qpos` and `qvel`, float32 `(n, 4)`: cup
    x, cup z, ball x, ball z (m, m/s).
    """

    TASKS = ("ball_in_cup_catch",)

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tasks
        self.observation_sizes = (8,)
        self.control_sizes = (2,)
        self.time_steps = (0.02,)
        self._physics = MjxPhysics("ball_in_cup", num_substeps=10)

    def constants(self, task: Tensor) -> Tensors:
        return {}

    def draw_starts(self, key: Tensor, task: Tensor, num_trials: int | None = None) -> Tensors:
        batch = task.shape if num_trials is None else (task.shape[0], num_trials)
        ball = random.uniform(key, (*batch, 16, 2))
        ball = ball * np.array([0.4, 0.3], "float32") + np.array([-0.2, 0.2], "float32")
        place = ball + (_BALL - _CUP).astype("float32")
        walls = [point_to_segment(place, *ends) for ends in itertools.pairwise(_WALLS)]
        ball = first_free(ball, ops.min(ops.stack(walls), axis=0) > _TOUCHES)
        zeros = ops.zeros_like(ball)
        return {
            "qpos": ops.concatenate([zeros, ball], axis=-1),
            "qvel": ops.concatenate([zeros, zeros], axis=-1),
        }

    def step(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensors:
        qpos, qvel, _ = self._physics.step(body["qpos"], body["qvel"], control)
        return {"qpos": qpos, "qvel": qvel}

    def observation(self, constants: Tensors, body: Tensors) -> Tensor:
        return ops.concatenate([body["qpos"], body["qvel"]], axis=1)

    def reward(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensor:
        to_target = body["qpos"][:, :2] - body["qpos"][:, 2:] + (_TARGET - _BALL).astype("float32")
        return ops.cast(ops.all(ops.abs(to_target) < _TARGET_REACH, axis=1), "float32")

    def has_fallen(self, constants: Tensors, body: Tensors) -> Tensor:
        return ops.zeros_like(body["qpos"][:, 0], dtype="bool")
