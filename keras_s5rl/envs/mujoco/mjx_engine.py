"""`MjxEngine`: control tasks on the device, those with contacts stepped by MJX."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.control.engine import ControlEngine
from keras_s5rl.envs.control.engines import check_no_scales
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.mujoco.ball_in_cup import BallInCup
from keras_s5rl.envs.mujoco.finger import Finger
from keras_s5rl.typing import Array, Tensor, Tensors

_PARTS = {
    "native": (ControlEngine, tuple(TASKS)),
    "ball_in_cup": (BallInCup, BallInCup.TASKS),
    "finger": (Finger, Finger.TASKS),
}


class MjxEngine:
    """The contact-free control tasks, `ball_in_cup_catch` and the `finger` tasks, all in JAX.

    The contact-free tasks are computed by `ControlEngine`; the others by MJX from dm_control's own
    models, so that whole training iterations compile, on a GPU too. The methods are those of
    `MujocoEngine`.

    Every model is stepped for every row, and a row's own is selected: a set of tasks costs what its
    models cost together (contact-free tasks, ball in cup, finger). A body holds one of each.

    Args:
        tasks: Sequence of names.

    Attributes:
        tasks, observation_sizes, observation_size, control_sizes, num_controls, action_bounds,
            time_steps: As of `MujocoEngine`.

    Raises:
        ValueError: If a task is not among these, Keras does not run on JAX, or the extra `mjx` is
            not installed.

    Reference: Tassa et al., 2018, "DeepMind Control Suite".
    """

    num_controls = 2

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        part_of = {task: part for part, (_, names) in _PARTS.items() for task in names}
        if not self.tasks or not set(self.tasks) <= set(part_of):
            raise ValueError(
                f"`tasks` should be names among {', '.join(part_of)}, at least one. Use the engine "
                f"`mujoco` for others. Received: tasks={self.tasks}"
            )
        self._parts: dict[str, Any] = {}
        self._numbers: dict[str, Array] = {}
        sizes: dict[str, tuple[int, int, float]] = {}
        for name, (engine, _) in _PARTS.items():
            own = tuple(task for task in self.tasks if part_of[task] == name)
            if own:
                part: Any = engine(own)
                self._parts[name] = part
                # The number of each task within its part, -1 in another part.
                numbers = [own.index(task) if task in own else -1 for task in self.tasks]
                self._numbers[name] = np.array(numbers, "int32")
                own_sizes = (part.observation_sizes, part.control_sizes, part.time_steps)
                sizes |= dict(zip(own, zip(*own_sizes, strict=True), strict=True))
        self.observation_sizes, self.control_sizes, self.time_steps = zip(
            *[sizes[task] for task in self.tasks], strict=True
        )
        self.observation_size = max(self.observation_sizes)
        self.action_bounds = tuple((-np.ones(size), np.ones(size)) for size in self.control_sizes)

    def constants(self, task: Tensor, scales: Tensors | None = None) -> Tensors:
        """Returns what decides the physics of each row.

        Args:
            task: int32 `(n,)`, indices into `tasks`.
            scales: None: the physics are not scaled here.

        Raises:
            ValueError: If `scales` is not None.
        """
        check_no_scales(scales)
        constants = {}
        for name, part in self._parts.items():
            number = ops.take(self._numbers[name], task)
            own = part.constants(ops.maximum(number, 0))
            constants[name] = {"own": own, "is_own": number >= 0}
        return constants

    def draw_starts(self, key: Tensor, task: Tensor, num_trials: int | None = None) -> Tensors:
        """Draws the starts of episodes, distributed as dm_control's.

        Args:
            key: uint32 `(2,)`.
            task: int32 `(n,)`, indices into `tasks`.
            num_trials: Integer or None, starts of each row.

        Returns:
            A body, its tensors of shape `(n, ...)`, or `(n, num_trials, ...)`.
        """
        keys = ops.unstack(random.split(key, len(_PARTS)), len(_PARTS))
        keys = dict(zip(_PARTS, keys, strict=True))
        return {
            name: part.draw_starts(
                keys[name], ops.maximum(ops.take(self._numbers[name], task), 0), num_trials
            )
            for name, part in self._parts.items()
        }

    def step(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensors:
        """Takes one control step of each row's task.

        Args:
            constants: From `constants`.
            body: From `draw_starts` or `step`.
            control: float32 `(n, 2)` in `[-1, 1]`.

        Returns:
            The body after the step.
        """
        return {
            name: part.step(constants[name]["own"], body[name], control)
            for name, part in self._parts.items()
        }

    def observation(self, constants: Tensors, body: Tensors) -> Tensor:
        """Returns dm_control's observation in its own order, zeros after it: float32 `(n, O)`."""
        return self._select("observation", constants, body)

    def reward(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensor:
        """Returns the reward of the step that led to `body`, float32 `(n,)` in `[0, 1]`."""
        return self._select("reward", constants, body, control)

    def has_fallen(self, constants: Tensors, body: Tensors) -> Tensor:
        """Returns whether a pole of a balance task is over 0.25 rad off upright, bool `(n,)`."""
        return self._select("has_fallen", constants, body)

    def _select(self, method: str, constants: Tensors, body: Tensors, *arguments: Tensor) -> Tensor:
        """Calls a method of each part and takes each row's result from its own part."""
        selected = None
        for name, part in self._parts.items():
            values = getattr(part, method)(constants[name]["own"], body[name], *arguments)
            is_own = constants[name]["is_own"]
            if len(values.shape) == 2:
                values = ops.pad(values, [[0, 0], [0, self.observation_size - values.shape[1]]])
                is_own = ops.expand_dims(is_own, 1)
            selected = values if selected is None else ops.where(is_own, values, selected)
        return selected
