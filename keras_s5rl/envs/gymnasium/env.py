"""`GymnasiumEnv`: one environment of the package as a `gymnasium.Env`."""

import copy
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode

from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.gymnasium.program import Picklable, environment_of, program_for
from keras_s5rl.envs.gymnasium.rendering import METADATA, frames, metadata_of
from keras_s5rl.envs.gymnasium.values import check_actions, check_reset, single_value


class GymnasiumEnv(Picklable, gymnasium.Env):
    """One environment of the package as a `gymnasium.Env`: numpy values in and out.

    After `import keras_s5rl`, `gymnasium.make("keras_s5rl/RepeatPreviousEasy-v0")` makes one. A
    step is one compiled call and one transfer to the host; a `GymnasiumVectorEnv` takes far more
    steps a second.

    Everything random about an episode comes from two words of `np_random`, drawn by `reset`:
    `reset(seed=...)` fixes this episode and those that follow it, `reset()` goes on in the stream.
    It has no options. The environment can be pickled and copied, also in the middle of an episode:
    the copy goes on with equal values.

    Args:
        env: String, a name that `keras_s5rl.envs.make` knows, or an `Environment`.
        render_mode: `"ansi"`, `"rgb_array"` or None: what `render` returns.
        max_episode_steps: Integer, steps after which an episode is truncated that would go on; an
            environment that has an argument of this name is given it. None for its own.
        **env_args: Arguments of the environment that `env` names.

    Raises:
        ValueError: If an argument is wrong, the environment does not take it, or `env` is no
            environment; from `step`, if the action is not one of the action space.
        gymnasium.error.ResetNeeded: From `step`, if there is no episode that goes on.
        RuntimeError: From `reset` and `step`, in a process that was forked from one in which the
            backend was already running: it would hang.

    Example:

    >>> import gymnasium
    >>> import keras_s5rl
    >>> env = gymnasium.make("keras_s5rl/RepeatPreviousEasy-v0", k=8)
    >>> observation, info = env.reset(seed=0)
    >>> observation in env.observation_space
    True
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> reward, terminated, truncated
    (0.0, False, False)
    """

    metadata = METADATA

    def __init__(
        self,
        env: str | Environment,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **env_args: Any,
    ) -> None:
        self.env, limit = environment_of(env, env_args, max_episode_steps)
        self.metadata = metadata_of(self.env, render_mode)
        self.render_mode = render_mode
        # A space holds a generator, which environments must not share.
        self.observation_space = copy.deepcopy(self.env.observation_space)
        self.action_space = copy.deepcopy(self.env.action_space)
        self._program_arguments = (self.env, 1, AutoresetMode.DISABLED, limit)
        self._program = program_for(*self._program_arguments)
        self._state = None
        self._is_over = True
        self._last_step: dict[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=check_reset(seed, options))
        self._state, report = self._program.reset(self.np_random)
        self._is_over = False
        self._last_step = {}
        return self._observation_and_info(report)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._is_over:
            raise gymnasium.error.ResetNeeded(
                "`step` should be called in an episode that goes on. Call `reset` first."
            )
        actions = check_actions(self.env.action_space, action)
        self._state, report, _ = self._program.step(self._state, actions)
        observation, info = self._observation_and_info(report)
        reward = float(report["reward"][0])
        terminated, truncated = bool(report["terminated"][0]), bool(report["truncated"][0])
        self._is_over = terminated or truncated
        self._last_step = {"action": action, "reward": reward}
        return observation, reward, terminated, truncated, info

    def render(self) -> Any:
        """Returns a picture of the state: a string, or uint8 `(height, width, 3)`."""
        env_state = self._program.env_state(self._state)
        pictures = frames(self.env, env_state, self.render_mode, **self._last_step)
        return pictures[0] if pictures else None

    def _observation_and_info(self, report: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        observation = single_value(self.env.observation_space, report["observation"], 0)
        return observation, {name: values[0] for name, values in report["info"].items()}
