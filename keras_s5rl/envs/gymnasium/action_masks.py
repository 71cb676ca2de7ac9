"""Masks of actions that environments give beside their observations, in `info["action_mask"]`."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from keras_s5rl.envs.spaces import sizes_and_starts, value_dtype
from keras_s5rl.typing import Array, Space

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
        self._size = sum(sizes_and_starts(env.single_action_space)[0])
        self.single_observation_space = with_mask_entry(env.single_observation_space, self._size)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._last_masks = self._masks({})

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        options = arguments.get("options") or {}
        mask = np.copy(options.get("reset_mask", np.ones(self.num_envs, bool)))
        observations, infos = self.env.reset(**arguments)
        self._last_masks = np.where(mask[:, None], self._masks(infos), self._last_masks)
        return with_mask(observations, self._last_masks), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observations, reward, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            masks = self._masks(infos.get("final_info", {}))
            final = np.full(self.num_envs, None, dtype=object)
            for row in np.flatnonzero(np.logical_or(terminated, truncated)):
                final[row] = with_mask(infos["final_obs"][row], masks[row])
            infos = {**infos, "final_obs": final}
        self._last_masks = self._masks(infos)
        observations = with_mask(observations, self._last_masks)
        return observations, reward, terminated, truncated, infos

    def _masks(self, infos: dict[str, Any]) -> Array:
        return masks_in(infos, self.num_envs, self._size)


def gives_masks(envs: VectorEnv) -> bool:
    """Resets environments, and returns whether they give masks of discrete actions."""
    _, infos = envs.reset(seed=0)
    return _MASK in infos and value_dtype(envs.single_action_space) == "int32"


def masks_in(infos: Mapping[str, Any], num_envs: int, size: int) -> Array:
    """Returns the masks in the infos of a vector environment, `(num_envs, size)`: ones for an
    environment that gives none.

    Raises:
        ValueError: If a mask does not have `size` numbers.
    """
    masks = np.ones((num_envs, size), "int8")
    is_given = infos.get(f"_{_MASK}", np.full(num_envs, _MASK in infos))
    for row in np.flatnonzero(is_given):
        mask = np.asarray(infos[_MASK][row])
        if mask.shape != (size,):
            raise ValueError(
                f"`info['action_mask']` should have {size} numbers, one for each choice of the "
                f"action, side by side. Received: action_mask={infos[_MASK][row]!r}"
            )
        masks[row] = mask != 0
    return masks


def with_mask_entry(space: Space, size: int) -> Space:
    """Returns the space of observations with their mask of actions: a `Dict`."""
    is_dict = isinstance(space, gymnasium.spaces.Dict)
    entries = space.spaces if is_dict else {"observation": space}
    return gymnasium.spaces.Dict({**entries, _MASK: gymnasium.spaces.MultiBinary(size)})


def with_mask(observations: Any, masks: Array) -> dict[str, Any]:
    """Returns observations with their masks, of the space that `with_mask_entry` returns."""
    entries = observations if isinstance(observations, dict) else {"observation": observations}
    return {**entries, _MASK: masks}
