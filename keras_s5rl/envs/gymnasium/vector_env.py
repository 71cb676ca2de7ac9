"""`GymnasiumVectorEnv`: many environments of the package as a `gymnasium.vector.VectorEnv`."""

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.gymnasium.program import Picklable, environment_of, program_for
from keras_s5rl.envs.gymnasium.rendering import METADATA, frames, metadata_of
from keras_s5rl.envs.gymnasium.values import (
    array_to_batch,
    check_actions,
    check_reset,
    single_value,
)
from keras_s5rl.typing import Array


class GymnasiumVectorEnv(Picklable, VectorEnv):
    """Environments of the package as a `gymnasium.vector.VectorEnv`: numpy arrays in and out.

    After `import keras_s5rl`,
    `gymnasium.make_vec("keras_s5rl/RepeatPreviousEasy-v0", num_envs=64)` makes one. A step of all
    environments, restarts included, is one compiled call and one transfer to the host.

    What is returned is laid out as Gymnasium's `SyncVectorEnv` does it. Where an episode ends,

    - NEXT_STEP starts the next one in the step after: that step ignores the action and returns the
      first observation with reward 0.
    - SAME_STEP starts it in the same step: the observation is the first of the new episode, the
      last one of the old is in `infos["final_obs"]`, its info in `infos["final_info"]`.
    - DISABLED starts none: call `reset` with `options={"reset_mask": mask}`, a bool array
      `(num_envs,)`, before the next step. The other modes take a mask, too.

    The mask is the only option of `reset`.

    Everything random comes from two words of `np_random`, drawn by `reset`: `reset(seed=...)` fixes
    all episodes from there on, `reset()` goes on in the stream. The seed is one integer for all
    environments, and their episodes depend on `num_envs`. The vector environment can be pickled and
    copied, also in the middle of episodes: the copy goes on with equal values.

    Args:
        env: String, a name that `keras_s5rl.envs.make` knows, or an `Environment`.
        num_envs: Integer, number of environments.
        autoreset_mode: A `gymnasium.vector.AutoresetMode`, or its value: `"NextStep"`,
            `"SameStep"` or `"Disabled"`.
        render_mode: `"ansi"`, `"rgb_array"` or None: what `render` returns of each environment.
        max_episode_steps: Integer, steps after which an episode is truncated that would go on; an
            environment that has an argument of this name is given it. None for its own.
        **env_args: Arguments of the environment that `env` names.

    Raises:
        ValueError: If an argument is wrong, the environment does not take it, or `env` is no
            environment; from `step`, if the actions are none of the action space.
        gymnasium.error.ResetNeeded: From `step`, if there is an environment without an episode
            that goes on.
        RuntimeError: From `reset` and `step`, in a process that was forked from one in which the
            backend was already running: it would hang.

    Example:

    >>> import gymnasium
    >>> import keras_s5rl
    >>> envs = gymnasium.make_vec("keras_s5rl/RepeatPreviousEasy-v0", num_envs=4)
    >>> observations, infos = envs.reset(seed=0)
    >>> actions = envs.action_space.sample()
    >>> observations, rewards, terminations, truncations, infos = envs.step(actions)
    >>> observations.shape, rewards.shape
    ((4,), (4,))
    """

    metadata = METADATA

    def __init__(
        self,
        env: str | Environment,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **env_args: Any,
    ) -> None:
        check_positive_integer("num_envs", num_envs)
        self.autoreset_mode = _check_autoreset_mode(autoreset_mode)
        self.env, limit = environment_of(env, env_args, max_episode_steps)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.metadata = {
            **metadata_of(self.env, render_mode),
            "autoreset_mode": self.autoreset_mode,
        }
        # A space holds a generator, which `batch_space` makes and environments must not share.
        self.single_observation_space = copy.deepcopy(self.env.observation_space)
        self.single_action_space = copy.deepcopy(self.env.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._program_arguments = (self.env, num_envs, self.autoreset_mode, limit)
        self._program = program_for(*self._program_arguments)
        self._state = None
        self._is_over = np.ones(num_envs, bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        seed = check_reset(seed, options, ("reset_mask",))
        mask = (options or {}).get("reset_mask")
        mask = np.ones(self.num_envs, bool) if mask is None else self._check_mask(mask)
        super().reset(seed=seed)
        if mask.all():
            self._state, report = self._program.reset(self.np_random)
        else:
            self._state, report = self._program.restart(self._state, self.np_random, mask)
        self._is_over = self._is_over & ~mask
        return self._observations(report), _masked_infos(report["info"], mask)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._is_over.any():
            raise gymnasium.error.ResetNeeded(
                "`step` should be called when every environment is in an episode that goes on. "
                "Call `reset` first, with `options={'reset_mask': ...}` for those that have ended. "
                f"Received: ended={np.flatnonzero(self._is_over).tolist()}"
            )
        actions = check_actions(self.env.action_space, actions, self.num_envs)
        self._state, report, final = self._program.step(self._state, actions)
        terminations, truncations = report["terminated"], report["truncated"]
        ended = terminations | truncations
        infos = _masked_infos(report["info"], np.ones(self.num_envs, bool))
        if final is not None:
            infos.update(
                final_obs=self._final_observations(final, ended),
                _final_obs=ended,
                final_info=_masked_infos(final["info"], ended),
                _final_info=ended.copy(),
            )
        if self.autoreset_mode == AutoresetMode.DISABLED:
            self._is_over = ended
        rewards = report["reward"].astype("float64")
        return self._observations(report), rewards, terminations, truncations, infos

    def render(self) -> Any:
        """Returns a tuple of pictures, one of each environment: strings, or uint8 `(H, W, 3)`."""
        env_state = self._program.env_state(self._state)
        return tuple(frames(self.env, env_state, self.render_mode)) or None

    def _observations(self, report: dict[str, Any]) -> Any:
        return array_to_batch(self.env.observation_space, report["observation"])

    def _final_observations(self, final: Any, ended: Array) -> Array:
        observations = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended):
            observations[index] = single_value(
                self.env.observation_space, final["observation"], index
            )
        return observations

    def _check_mask(self, mask: Any) -> Array:
        is_mask = isinstance(mask, np.ndarray) and mask.dtype == bool
        if not is_mask or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"`options['reset_mask']` should be a bool array of shape ({self.num_envs},) with "
                f"at least one True. Received: reset_mask={mask!r}"
            )
        if self._state is None and not mask.all():
            raise gymnasium.error.ResetNeeded(
                "`options['reset_mask']` should be all True in the first reset. Reset every "
                f"environment once, then some. Received: reset_mask={mask!r}"
            )
        return mask


def _check_autoreset_mode(mode: Any) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        values = [known.value for known in AutoresetMode]
        raise ValueError(
            f"`autoreset_mode` should be an AutoresetMode or one of {values}. Received: "
            f"autoreset_mode={mode!r}"
        ) from None


def _masked_infos(info: dict[str, Array], mask: Array) -> dict[str, Any]:
    """Returns infos as Gymnasium batches them: `_name` says where `name` is set; else it is 0."""
    infos = {}
    for name, values in info.items():
        infos[name] = np.zeros_like(values)
        infos[name][mask] = values[mask]
        infos[f"_{name}"] = mask.copy()
    return infos
