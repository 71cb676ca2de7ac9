"""`Finger`: dm_control's finger that turns a spinner, stepped by MJX."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.mujoco.mjx_physics import MjxPhysics
from keras_s5rl.envs.mujoco.planar import first_free, point_to_segment
from keras_s5rl.typing import Tensor, Tensors

_BASE = np.array([-0.4, 0.0], "float32")  # the finger's first joint, seen from the spinner's (m)
_PROXIMAL_LENGTH = 0.18  # m
_FINGERTIP = (0.13, 0.161)  # the fingertip's ends, from the second joint (m)
_REFERENCE = math.pi / 2  # the first joint's angle is 0 where the finger points to the spinner
_MAX_ANGLE = math.radians(110)
_CAPS = (0.02, -0.02)  # the two capsules of the spinner, side by side (m)
_CAP_HALF_LENGTH = 0.09  # m
_TOUCHES = 0.03 + 0.04  # radius of the fingertip and of a capsule (m)
_RADIUS = 0.13  # of the spinner's tip and of the target's place (m)
_SPIN_SPEED = 15.0  # rad/s
_SPIN_DAMPING = 0.03  # of the spinner in the task to spin it (N m s)
_TARGET_SIZES = {"finger_turn_easy": 0.07, "finger_turn_hard": 0.03}  # m


class Finger:
    """The tasks `finger_spin`, `finger_turn_easy` and `finger_turn_hard`.

    The methods are those of `MujocoEngine`. A body holds `qpos` and `qvel`, float32 `(n, 3)`: both
    joints of the finger and the spinner's (rad, rad/s); `target_angle` float32 `(n,)`; `touch`
    float32 `(n, 2)`, the forces on both sides of the fingertip (N).
    """

    TASKS = ("finger_spin", *_TARGET_SIZES)

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tasks
        self.observation_sizes = tuple(9 if task == "finger_spin" else 12 for task in tasks)
        self.control_sizes = (2,) * len(tasks)
        self.time_steps = (0.02,) * len(tasks)
        self._physics = MjxPhysics("finger", num_substeps=2)
        damping = [self._physics.model.dof_damping] * len(tasks)
        spins = np.array([task == "finger_spin" for task in tasks])
        damping = np.where(spins[:, None] & (np.arange(3) == 2), _SPIN_DAMPING, damping)
        self._damping = damping.astype("float32")
        sizes = [_TARGET_SIZES.get(task, 0.0) for task in tasks]
        self._target_sizes = np.array(sizes, "float32")

    def constants(self, task: Tensor) -> Tensors:
        return {
            "dof_damping": ops.take(self._damping, task, axis=0),
            "target_size": ops.take(self._target_sizes, task),
        }

    def draw_starts(self, key: Tensor, task: Tensor, num_trials: int | None = None) -> Tensors:
        batch = task.shape if num_trials is None else (task.shape[0], num_trials)
        keys = ops.unstack(random.split(key, 2), 2)
        angles = random.uniform(keys[0], (*batch, 16, 3), -1.0, 1.0)
        angles = angles * np.array([_MAX_ANGLE, _MAX_ANGLE, math.pi], "float32")
        qpos = first_free(angles, _clearance(angles) > 0.0)
        return {
            "qpos": qpos,
            "qvel": ops.zeros_like(qpos),
            "target_angle": random.uniform(keys[1], batch, -math.pi, math.pi),
            "touch": ops.zeros((*batch, 2), dtype="float32"),
        }

    def step(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensors:
        qpos, qvel, sensors = self._physics.step(
            body["qpos"], body["qvel"], control, constants["dof_damping"]
        )
        return {**body, "qpos": qpos, "qvel": qvel, "touch": sensors[:, 14:16]}

    def observation(self, constants: Tensors, body: Tensors) -> Tensor:
        entries = [body["qpos"][:, :2], _tip(body), body["qvel"], ops.log1p(body["touch"])]
        if max(self.observation_sizes) == 12:
            is_turn = constants["target_size"] > 0.0
            target = ops.concatenate(
                [_target(body), ops.expand_dims(_distance(constants, body), 1)], axis=1
            )
            entries.append(ops.where(ops.expand_dims(is_turn, 1), target, 0.0))
        return ops.concatenate(entries, axis=1)

    def reward(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensor:
        is_turn = constants["target_size"] > 0.0
        is_there = _distance(constants, body) <= 0.0
        is_fast = body["qvel"][:, 2] <= -_SPIN_SPEED
        return ops.cast(ops.where(is_turn, is_there, is_fast), "float32")

    def has_fallen(self, constants: Tensors, body: Tensors) -> Tensor:
        return ops.zeros_like(body["touch"][:, 0], dtype="bool")


def _target(body: Tensors) -> Tensor:
    angle = body["target_angle"]
    return _RADIUS * ops.stack([ops.sin(angle), ops.cos(angle)], axis=1)


def _tip(body: Tensors) -> Tensor:
    angle = body["qpos"][:, 2]
    return _RADIUS * ops.stack([-ops.sin(angle), ops.cos(angle)], axis=1)


def _distance(constants: Tensors, body: Tensors) -> Tensor:
    """Returns the distance from the spinner's tip to the surface of the target, float32 `(n,)`."""
    to_target = _target(body) - _tip(body)
    return ops.sqrt(ops.sum(ops.square(to_target), axis=1)) - constants["target_size"]


def _clearance(angles: Tensor) -> Tensor:
    """Returns the gap between fingertip and spinner, of angles `(..., 3)`: float32 `(...)`.

    Nothing else can touch. Segments that do not cross are nearest at an end of one of them, and the
    fingertip is too short to cross a capsule with its ends free.
    """
    first = angles[..., 0] + _REFERENCE
    second = first + angles[..., 1]

    def direction(angle: Tensor) -> Tensor:
        return ops.stack([ops.sin(angle), -ops.cos(angle)], axis=-1)

    joint = _BASE + _PROXIMAL_LENGTH * direction(first)
    tip = [joint + length * direction(second) for length in _FINGERTIP]
    across = direction(angles[..., 2] + math.pi / 2)
    along = -direction(angles[..., 2])
    distances = []
    for side in _CAPS:
        cap = [side * across + end * _CAP_HALF_LENGTH * along for end in (-1.0, 1.0)]
        distances += [point_to_segment(end, *cap) for end in tip]
        distances += [point_to_segment(end, *tip) for end in cap]
    return ops.min(ops.stack(distances), axis=0) - _TOUCHES
