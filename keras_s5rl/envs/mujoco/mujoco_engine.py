"""`MujocoEngine`: tasks of DeepMind Control stepped by MuJoCo on the host."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.control.engines import check_no_scales
from keras_s5rl.envs.mujoco.simulator import Simulator
from keras_s5rl.typing import Tensor, Tensors

_MAX_SEED = 2**31 - 1
_BALANCE_TASKS = ("cartpole_balance", "cartpole_balance_sparse")
_FALLEN_COSINE = float(np.cos(0.25))


class MujocoEngine:
    """The physics of any tasks of DeepMind Control with bounded actions, by MuJoCo itself.

    It stands in for `keras_s5rl.envs.control.engine.ControlEngine`, contacts included: the same
    methods, pure functions of tensors on any backend, which compile. A step calls the host, where
    `mujoco.rollout` computes it in float64 on a thread pool, and observations and rewards are
    dm_control's own.

    What a body holds: `seed` int32 `(n,)`, from which dm_control draws all that is random in an
    episode; `physics` int32 `(n, 2 S)`, the bits of MuJoCo's float64 state; `outcome` float32
    `(n, observation_size + 1)`, the observation and the reward of the step that led here.

    Args:
        tasks: Sequence of names, such as `("finger_spin", "reacher_easy")`.
        num_threads: Integer, threads that step; None for one a processor core.

    Attributes:
        tasks: Tuple of the names.
        observation_sizes, control_sizes: Tuples of integers, of each task;
        observation_size, num_controls: the largest of them.
        action_bounds: Tuple of pairs of float64 arrays, the bounds of each task's actions.
        time_steps: Tuple of floats, seconds of a control step of each task.

    Raises:
        ValueError: If MuJoCo is not installed (extra `mujoco`), or a task is unknown or has
            unbounded actions.

    Reference: Tassa et al., 2018, "DeepMind Control Suite".
    """

    def __init__(self, tasks: Sequence[str], num_threads: int | None = None) -> None:
        self.tasks = tuple(tasks)
        self._simulator = Simulator(self.tasks, num_threads)
        self.observation_sizes = self._simulator.observation_sizes
        self.observation_size = max(self.observation_sizes)
        self.action_bounds = self._simulator.action_bounds
        self.control_sizes = tuple(low.size for low, _ in self.action_bounds)
        self.num_controls = max(self.control_sizes)
        self.time_steps = self._simulator.time_steps
        self._is_balance = np.isin(self.tasks, _BALANCE_TASKS)

    def constants(self, task: Tensor, scales: Tensors | None = None) -> Tensors:
        """Returns what decides the physics: the task alone.

        Args:
            task: int32 `(n,)`, indices into `tasks`.
            scales: None: the physics are not scaled here.

        Raises:
            ValueError: If `scales` is not None.
        """
        check_no_scales(scales)
        # A copy, because a state must not hold the same tensor twice.
        return {"row_task": ops.copy(task)}

    def draw_starts(self, key: Tensor, task: Tensor, num_trials: int | None = None) -> Tensors:
        """Draws the starts of episodes, as dm_control does.

        Args:
            key: uint32 `(2,)`.
            task: int32 `(n,)`, indices into `tasks`.
            num_trials: Integer or None, starts of each row.

        Returns:
            A body, its tensors of shape `(n, ...)`, or `(n, num_trials, ...)`.
        """
        shape = task.shape if num_trials is None else (task.shape[0], num_trials)
        seed = random.randint(key, shape, 0, _MAX_SEED)
        repeats = 1 if num_trials is None else num_trials
        body = self.start(ops.repeat(task, repeats), ops.reshape(seed, (-1,)))
        return {
            name: ops.reshape(tensor, (*shape, *tensor.shape[1:])) for name, tensor in body.items()
        }

    def start(self, task: Tensor, seed: Tensor) -> Tensors:
        """Returns the body at the start of the episodes that dm_control makes of these seeds.

        Args:
            task: int32 `(n,)`, indices into `tasks`.
            seed: int32 `(n,)`, `0 <= seed`.
        """
        return self._body(self._simulator.start, task, seed)

    def step(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensors:
        """Takes one control step of each row's task.

        Args:
            constants: From `constants`.
            body: From `draw_starts`, `start` or `step`.
            control: float32 `(n, num_controls)` within the task's bounds; entries after the task's
                own are ignored.

        Returns:
            The body after the step.
        """
        task, seed = constants["row_task"], body["seed"]
        return self._body(self._simulator.step, task, seed, body["physics"], control)

    def observation(self, constants: Tensors, body: Tensors) -> Tensor:
        """Returns dm_control's observation in its own order, zeros after it: float32 `(n, O)`."""
        return body["outcome"][:, :-1]

    def reward(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensor:
        """Returns the reward of the step that led to `body`, float32 `(n,)` in `[0, 1]`."""
        return body["outcome"][:, -1]

    def has_fallen(self, constants: Tensors, body: Tensors) -> Tensor:
        """Returns whether the pole of a balance task is over 0.25 rad off upright, bool `(n,)`."""
        is_balance = ops.take(self._is_balance, constants["row_task"])
        # The observation of these tasks begins [position, cosine of the angle].
        is_low = body["outcome"][:, 1] < _FALLEN_COSINE
        return ops.logical_and(is_balance, is_low)

    def _body(
        self, function: Callable[..., Any], task: Tensor, seed: Tensor, *arguments: Tensor
    ) -> Tensors:
        num_rows = task.shape[0]
        like = (
            keras.KerasTensor((num_rows, 2 * self._simulator.state_size), "int32"),
            keras.KerasTensor((num_rows, self.observation_size + 1), "float32"),
        )
        physics, outcome = backend.host_call(function, like, task, seed, *arguments)
        return {"seed": seed, "physics": physics, "outcome": outcome}
