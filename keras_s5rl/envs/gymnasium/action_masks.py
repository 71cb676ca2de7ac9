"""`ActionMaskObservation`: masks of actions that environments give with their observations."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from keras_s5rl.envs.spaces import flat_size, value_dtype
from keras_s5rl.typing import Array

_MASK = "action_mask"


class ActionMaskObservation(VectorWrapper):
    """A `VectorEnv` whose `info["action_mask"]` is an entry of its observations, a `Dict`.

    A mask has a number for each class of the discrete action space, 1 where it is allowed. Where
    an environment gives none all are.

    Args:
        env: `gymnasium.vector.VectorEnv`.
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self._size = flat_size(env.single_action_space)
        space = env.single_observation_space
        is_dict = isinstance(space, gymnasium.spaces.Dict)
        entries = space.spaces if is_dict else {"observation": space}
        mask = gymnasium.spaces.MultiBinary(self._size)
        self.single_observation_space = gymnasium.spaces.Dict({**entries, _MASK: mask})
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._last_masks = self._masks({})

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        options = arguments.get("options") or {}
        mask = np.copy(options.get("reset_mask", np.ones(self.num_envs, bool)))
        observations, infos = self.env.reset(**arguments)
        self._last_masks = np.where(mask[:, None], self._masks(infos), self._last_masks)
        return _join(observations, self._last_masks), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observations, reward, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            masks = self._masks(infos.get("final_info", {}))
            final = np.full(self.num_envs, None, dtype=object)
            for row in np.flatnonzero(np.logical_or(terminated, truncated)):
                final[row] = _join(infos["final_obs"][row], masks[row])
            infos = {**infos, "final_obs": final}
        self._last_masks = self._masks(infos)
        return _join(observations, self._last_masks), reward, terminated, truncated, infos

    def _masks(self, infos: dict[str, Any]) -> Array:
        masks = np.ones((self.num_envs, self._size), "int8")
        is_given = infos.get(f"_{_MASK}", np.full(self.num_envs, _MASK in infos))
        for row in np.flatnonzero(is_given):
            masks[row] = infos[_MASK][row]
        return masks


def gives_masks(envs: VectorEnv) -> bool:
    """Resets environments, and returns whether they give masks of discrete actions."""
    _, infos = envs.reset(seed=0)
    return _MASK in infos and value_dtype(envs.single_action_space) == "int32"


def _join(observations: Any, masks: Array) -> dict[str, Any]:
    entries = observations if isinstance(observations, dict) else {"observation": observations}
    return {**entries, _MASK: masks}
