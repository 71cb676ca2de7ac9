"""`ControlTaskEnv`: a task of the DeepMind Control Suite as an environment."""

from typing import Any

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.envs.arguments import check_choice, check_positive_integer
from keras_s5rl.envs.control.engine import ControlEngine
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS = {
    "ControlTaskEnv": {
        "pendulum_swingup": {"task": "pendulum_swingup"},
        "cartpole_balance": {"task": "cartpole_balance"},
        "cartpole_balance_sparse": {"task": "cartpole_balance_sparse"},
        "cartpole_swingup": {"task": "cartpole_swingup"},
        "cartpole_swingup_sparse": {"task": "cartpole_swingup_sparse"},
        "cartpole_two_poles": {"task": "cartpole_two_poles"},
        "cartpole_three_poles": {"task": "cartpole_three_poles"},
        "acrobot_swingup": {"task": "acrobot_swingup"},
        "acrobot_swingup_sparse": {"task": "acrobot_swingup_sparse"},
        "reacher_easy": {"task": "reacher_easy"},
        "reacher_hard": {"task": "reacher_hard"},
        "point_mass_easy": {"task": "point_mass_easy"},
        "point_mass_hard": {"task": "point_mass_hard"},
    }
}


class ControlTaskEnv(Environment):
    """One task of the DeepMind Control Suite without contacts, equal to dm_control's.

    The state holds MuJoCo's own `qpos` and `qvel`, of the joints that the task has; the observation
    is DMC's in DMC's order, the reward DMC's, in `[0, 1]`. Actions are clipped to `[-1, 1]`. The
    episode never terminates and is truncated after `max_episode_steps`.

    Args:
        task: String, a name of `keras_s5rl.envs.control.tasks.TASKS`.
        max_episode_steps: Integer, steps after which an episode is truncated. DMC's episodes have
            1000 control steps.
        action_repeat: Integer, control steps that an action is held for. The reward of a step is
            the mean of theirs.

    Attributes:
        task, action_repeat: As given.

    Raises:
        ValueError: If `task` is unknown, or another argument is not a positive integer.

    Example:

    >>> from keras_s5rl import envs
    >>> env = envs.make("cartpole_swingup", action_repeat=4, max_episode_steps=250)
    >>> env.observation_space.shape, env.action_space.shape
    ((5,), (1,))

    Reference: Tassa et al., 2018, "DeepMind Control Suite" (dm-control 1.0.50, MuJoCo 3.17).
    """

    def __init__(self, task: str, max_episode_steps: int = 1000, action_repeat: int = 1) -> None:
        check_choice("task", task, TASKS)
        check_positive_integer("max_episode_steps", max_episode_steps)
        check_positive_integer("action_repeat", action_repeat, largest=1_000)
        self.task = task
        self.max_episode_steps = max_episode_steps
        self.action_repeat = action_repeat
        self._spec = TASKS[task]
        self._engine = ControlEngine((task,))
        # The slots that the task fills are the last ones of the padded layout.
        self._num_empty = 0 if self._spec.slider_mass else 1
        # What the task draws beside the joints.
        self._given = [
            name
            for name, is_drawn in (
                ("target", any(self._spec.target_radius)),
                ("tendon_coef", self._spec.mixes_controls),
            )
            if is_drawn
        ]
        size = self._engine.observation_size
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self._spec.num_controls,))

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        start = self._engine.draw_starts(key, _all_first(num_envs))
        joints = {name: start[name][:, self._num_empty :] for name in ("qpos", "qvel")}
        return {**joints, **{name: start[name] for name in self._given}}

    def initial(self, draws: Tensors) -> Tensors:
        state = {name: ops.cast(draws[name], "float32") for name in ("qpos", "qvel", *self._given)}
        if "tendon_coef" in state:
            state["tendon_coef"] = ops.reshape(state["tendon_coef"], (-1, 2, 2))
        time = ops.zeros_like(state["qpos"][:, 0], dtype="int32")
        return {**state, "time": time, "terminated": ops.zeros_like(time, dtype="bool")}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        body, constants = self._body(state), self._constants(state)
        control = ops.clip(ops.cast(action, "float32"), -1.0, 1.0)
        control = ops.pad(control, [(0, 0), (0, self._engine.num_controls - control.shape[1])])

        def step(carry: Any, _: Any) -> Any:
            body, total = carry
            body = self._engine.step(constants, body, control)
            return (body, total + self._engine.reward(constants, body, control)), None

        carry = (body, ops.zeros_like(control[:, 0]))
        (body, total), _ = backend.scan(step, carry, None, length=self.action_repeat)
        time = state["time"] + 1
        state = {
            **state,
            "qpos": body["qpos"][:, self._num_empty :],
            "qvel": body["qvel"][:, self._num_empty :],
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }
        reward = total / self.action_repeat
        return state, reward, state["terminated"], time >= self.max_episode_steps

    def observation(self, state: Tensors) -> Tensor:
        return self._engine.observation(self._constants(state), self._body(state))

    def _constants(self, state: Tensors) -> Tensors:
        return self._engine.constants(_all_first(state["qpos"].shape[0]))

    def _body(self, state: Tensors) -> Tensors:
        """Returns the engine's padded body, with nothing random in what the task does not draw."""
        qpos, qvel = (
            ops.pad(state[name], [(0, 0), (self._num_empty, 0)]) for name in ("qpos", "qvel")
        )
        num_envs = qpos.shape[0]
        body = {
            "qpos": qpos,
            "qvel": qvel,
            "target": ops.zeros((num_envs, 2), dtype="float32"),
            "tendon_coef": ops.tile(ops.eye(2, dtype="float32")[None], (num_envs, 1, 1)),
        }
        return {**body, **{name: state[name] for name in self._given}}


def _all_first(num_envs: int) -> Tensor:
    return ops.zeros((num_envs,), dtype="int32")
