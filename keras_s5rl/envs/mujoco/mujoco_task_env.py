"""`MujocoTaskEnv`: one task of DeepMind Control as an environment."""

import gymnasium
import keras
import numpy as np
from keras import ops

from keras_s5rl.envs.arguments import check_choice, check_positive_integer
from keras_s5rl.envs.control.engines import make_engine
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS: dict[str, dict[str, dict[str, object]]] = {"MujocoTaskEnv": {"dm_control": {}}}

_ENGINES = ("mujoco", "mjx")


class MujocoTaskEnv(Environment):
    """A task of DeepMind Control, contacts included, stepped by MuJoCo itself.

    Observations are dm_control's, its arrays side by side in its own order; actions are clipped to
    its bounds. An episode starts as dm_control starts one; it never terminates and is truncated
    after `max_episode_steps`.

    Args:
        task: String, `<domain>_<task>` of the suite, such as `"finger_spin"`.
        max_episode_steps: Integer, steps after which an episode is truncated. Defaults to `1000`,
            dm_control's.
        action_repeat: Integer, control steps that an action is kept for; the reward is their mean,
            in `[0, 1]`. Defaults to `1`.
        engine: `"mujoco"`: C MuJoCo on the host, any task with bounded actions, any backend (extra
            `mujoco`). `"mjx"`: MuJoCo in JAX, for GPUs, few tasks (extra `mjx`), see `MjxEngine`.

    Raises:
        ValueError: If an argument is not as described, or the extra is not installed.

    Reference: Tassa et al., 2018, "DeepMind Control Suite".
    """

    def __init__(
        self,
        task: str,
        max_episode_steps: int = 1000,
        action_repeat: int = 1,
        engine: str = "mujoco",
    ) -> None:
        check_positive_integer("max_episode_steps", max_episode_steps)
        check_positive_integer("action_repeat", action_repeat, largest=100)
        check_choice("engine", engine, _ENGINES)
        self._engine = make_engine(engine, (task,))
        low, high = self._engine.action_bounds[0]
        size = self._engine.observation_size
        self.action_space = gymnasium.spaces.Box(low.astype("float32"), high.astype("float32"))
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), "float32")
        self.max_episode_steps = max_episode_steps
        self._action_repeat = action_repeat

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return self._engine.draw_starts(key, ops.zeros((num_envs,), dtype="int32"))

    def initial(self, draws: Tensors) -> Tensors:
        body = keras.tree.map_structure(ops.convert_to_tensor, draws)
        time = ops.zeros((keras.tree.flatten(body)[0].shape[0],), dtype="int32")
        return {
            "body": body,
            "constants": self._engine.constants(ops.zeros_like(time)),
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        constants, body = state["constants"], state["body"]
        control = ops.clip(action, self.action_space.low, self.action_space.high)
        control = ops.pad(control, [[0, 0], [0, self._engine.num_controls - control.shape[1]]])
        rewards = []
        for _ in range(self._action_repeat):
            body = self._engine.step(constants, body, control)
            rewards.append(self._engine.reward(constants, body, control))
        time = state["time"] + 1
        state = {**state, "body": body, "time": time}
        reward = sum(rewards) / self._action_repeat
        return state, reward, state["terminated"], time >= self.max_episode_steps

    def observation(self, state: Tensors) -> Tensor:
        return self._engine.observation(state["constants"], state["body"])
