"""`Player`: a policy in a plain loop over an environment of Gymnasium."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from keras_s5rl import random
from keras_s5rl.envs import Environment
from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.envs.gymnasium.action_masks import masks_in, with_mask, with_mask_entry
from keras_s5rl.envs.gymnasium.making import env_name
from keras_s5rl.envs.gymnasium.values import (
    array_to_batch,
    batch_to_array,
    legal_actions,
    single_to_array,
    single_value,
)
from keras_s5rl.envs.spaces import check_supported, mask_columns, null_value
from keras_s5rl.training.arguments import check_count, check_policy
from keras_s5rl.training.array_player import ArrayPlayer
from keras_s5rl.training.views import view_for
from keras_s5rl.typing import Array, Space, Tensor


class Player:
    """Plays a policy in a loop over environments of Gymnasium: numpy in, numpy out.

    It keeps what the policy needs from step to step: the memory, the previous action and whether an
    observation is the first of its episode. The policy plays with the weights that it has when it
    acts. Programs are compiled once for a policy and its spaces, for each number of environments.

    Args:
        policy: `keras_s5rl.models.Policy`, such as `agent.policy`, or `load_policy(path)`.
        env: `gymnasium.Env`, or `gymnasium.vector.VectorEnv` in any mode of autoreset, whose spaces
            are played in; it is not touched. Or `None`, with `observation_space` and
            `action_space`.
        deterministic: Whether to play the mode of the policy rather than draws from it. Defaults to
            `True`.
        seed: Integer from 0 to 2**32 - 1, from which the draws are made. Defaults to `0`.
        observation_space: Gymnasium space of one observation, where there is no `env`.
        action_space: Gymnasium space of one action, where there is no `env`.
        num_envs: Positive integer, environments that are played side by side; or `None` for one,
            with observations and actions that have no batch axis. Only where there is no `env`.
            Defaults to `None`.

    Raises:
        ValueError: If an argument is wrong, or the policy was not made for these spaces.

    Examples:

    >>> import gymnasium
    >>> from keras_s5rl import Player
    >>> from keras_s5rl.layers import S5Stack
    >>> from keras_s5rl.models import ActorCritic, Categorical
    >>> memory = S5Stack(1, 16, state_size=8, return_state=True)
    >>> policy = ActorCritic(8, Categorical(2), memory)  # 4 numbers, 2 actions, 2 for the flag
    >>> env = gymnasium.make("CartPole-v1")
    >>> player = Player(policy, env)
    >>> (observation, info), over = env.reset(seed=0), False
    >>> player.reset()
    >>> while not over:
    ...     action = player.act(observation)
    ...     observation, reward, terminated, truncated, info = env.step(action)
    ...     over = terminated or truncated

    Many environments side by side, which start new episodes by themselves:

    >>> envs = gymnasium.make_vec("CartPole-v1", num_envs=4)
    >>> player = Player(policy, envs, deterministic=False)
    >>> observations, infos = envs.reset(seed=0)
    >>> for _ in range(3):
    ...     actions = player.act(observations)
    ...     observations, rewards, terminated, truncated, infos = envs.step(actions)
    ...     player.reset(terminated | truncated)

    A policy that was trained with masks of actions in `info["action_mask"]` is given the info, too:
    `player.act(observation, info)`.
    """

    def __init__(
        self,
        policy: Any,
        env: Any = None,
        deterministic: bool = True,
        seed: int = 0,
        *,
        observation_space: Space | None = None,
        action_space: Space | None = None,
        num_envs: int | None = None,
    ) -> None:
        check_policy(policy)
        check_boolean("deterministic", deterministic)
        random.key(seed)  # raises what is wrong with it
        given = {"observation_space": observation_space, "action_space": action_space}
        _check_given(env, given, num_envs)
        name, mode = "env", None
        if isinstance(env, VectorEnv):
            num_envs, name = env.num_envs, env_name(env)
            observation_space, action_space = env.single_observation_space, env.single_action_space
            mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        elif env is not None:
            observation_space, action_space, name = (
                env.observation_space,
                env.action_space,
                env_name(env),
            )
        check_supported(f"{name}.observation_space", observation_space)
        check_supported(f"{name}.action_space", action_space)
        self.num_envs = num_envs
        self._mask_size: int | None = None  # that of masks in `info`
        if getattr(policy, "action_mask", None) and mask_columns(observation_space) is None:
            self._mask_size = policy.distribution.num_outputs
            observation_space = with_mask_entry(observation_space, self._mask_size)
        view = view_for(policy, _Shown(observation_space, action_space), name)
        self._player = ArrayPlayer(policy, view, num_envs or 1, deterministic, seed)
        self._observation_space, self._action_space = observation_space, action_space
        self._starts_a_step_later = mode == AutoresetMode.NEXT_STEP
        self.reset()

    def reset(self, mask: Any = None) -> None:
        """Starts new episodes, with a cleared memory.

        Args:
            mask: `None` for all environments, after `env.reset()`. Or a bool array `(num_envs,)`:
                of which environments the episode ended with the last step, `terminated |
                truncated`. The next observation of these is the first of a new episode; of a
                vector environment in the mode NEXT_STEP it is the one after it.
        """
        num_envs = self.num_envs or 1
        if mask is None:
            self._player.restart(np.ones(num_envs, "bool"))
            self._is_over = np.zeros(num_envs, "bool")
            return
        mask = np.asarray(mask)
        if mask.shape != (num_envs,) or mask.dtype != bool:
            raise ValueError(
                f"`mask` should be a bool array of shape ({num_envs},), `terminated | truncated` "
                f"of the last step, or None. Received: mask={mask!r}"
            )
        if self._starts_a_step_later:
            self._is_over = self._is_over | mask
        else:
            self._player.restart(mask)

    def act(self, observations: Any, info: Mapping[str, Any] | None = None) -> Any:
        """Returns what the policy does.

        Args:
            observations: What `reset` or `step` of the environment returned.
            info: Dict that they returned beside it, whose `"action_mask"` has a number for each
                choice of the action, 0 for those that are illegal and never taken. Without this
                entry all are legal. Needed where the policy was trained with such masks, else not
                used. The infos of a reset of some environments alone (mode DISABLED) lack the masks
                of the others: `ActionMaskObservation` around the environments keeps them. Defaults
                to `None`.

        Returns:
            An element of the action space, for `step`. Numbers are clipped to their bounds; the
            policy sees its action as it was.

        Raises:
            ValueError: If the observations are not of the observation space, or the policy needs an
                `info` and its mask.
        """
        if self._mask_size is not None:
            observations = with_mask(observations, self._masks(info, self._mask_size))
        actions = self._player.act(self._as_array(observations))
        self._player.restart(self._is_over)
        self._is_over = np.zeros_like(self._is_over)
        return self._as_action(actions)

    def _masks(self, info: Any, size: int) -> Array:
        """The masks of actions in an info, of one environment or of all."""
        if not isinstance(info, Mapping):
            raise ValueError(
                "`info` should be what the environment returned beside the observations: the "
                "policy was trained with masks of actions in info['action_mask']. "
                f"Received: info={info!r}"
            )
        if self.num_envs is not None:
            return masks_in(info, self.num_envs, size)
        of_one = {name: [mask] for name, mask in info.items() if name == "action_mask"}
        return masks_in(of_one, 1, size)[0]

    def _as_array(self, observations: Any) -> Array:
        """The observations in the format of `Environment`."""
        space = self._observation_space
        to_array = single_to_array if self.num_envs is None else batch_to_array
        try:
            array = to_array(space, observations)
            fits = array.shape == (self.num_envs or 1, *null_value(space).shape)
        except (IndexError, KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            expected = "one" if self.num_envs is None else f"{self.num_envs} of them, stacked, each"
            raise ValueError(
                f"`observations` should be {expected} of {space}, as the environment returns them. "
                f"Received: observations={observations!r}"
            )
        return array

    def _as_action(self, actions: Array) -> Any:
        """Actions as the environment takes them."""
        space = self._action_space
        legal = legal_actions(space, actions)
        return (
            single_value(space, legal, 0) if self.num_envs is None else array_to_batch(space, legal)
        )


class _Shown(Environment):
    """What a Gymnasium environment shows, so that `AgentView` can make of it what policies see."""

    def __init__(self, observation_space: Space, action_space: Space) -> None:
        self.observation_space = observation_space
        self.action_space = action_space

    def observation(self, state: Any) -> Tensor:
        return state["observation"]


def _check_given(env: Any, spaces: dict[str, Any], num_envs: Any) -> None:
    """Raises a ValueError unless there is either an environment or a pair of spaces."""
    if env is None:
        for name, space in spaces.items():
            if not isinstance(space, gymnasium.Space):
                raise ValueError(
                    f"`{name}` should be a Gymnasium space where no `env` is given. "
                    f"Received: {name}={space!r}"
                )
        if num_envs is not None:
            check_count("num_envs", num_envs)
        return
    if not isinstance(env, gymnasium.Env | VectorEnv):
        raise ValueError(
            "`env` should be a gymnasium.Env or VectorEnv, such as `gymnasium.make(id)` makes. "
            f"Received: env={env!r}"
        )
    for name, value in {**spaces, "num_envs": num_envs}.items():
        if value is not None:
            raise ValueError(
                f"`{name}` should be None where `env` is given, which has its own. "
                f"Received: {name}={value!r} with env={env}"
            )
