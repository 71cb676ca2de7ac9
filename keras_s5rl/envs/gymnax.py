"""`GymnaxEnvironment`: JAX environments in gymnax's form, compiled whole."""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
import keras
import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.spaces import value_dtype
from keras_s5rl.space_leaves import leaves
from keras_s5rl.typing import Space, Tensor, Tensors

# What gymnax, Craftax and POPGym Arcade call the steps of the longest episode.
_LIMITS = ("max_steps_in_episode", "max_timesteps", "max_episode_length")
_NO_LIMIT = 2**31 - 1  # counts of steps are int32 on JAX


class GymnaxEnvironment(Environment):
    """An environment of one copy in JAX, with `reset(key, params)` and `step(key, state, action,
    params)`, as a batch of environments of this package.

    gymnax's own restart is left out: `reset_env` and `step_env` are called where the object has
    them. The draws are keys. Where the object reports truncation by `is_truncated`, or parameters
    have a limit, an end by the time limit is no termination. Limits are `max_steps_in_episode`,
    `max_timesteps` and `max_episode_length`.

    Args:
        env: Object in the form of `gymnax.environments.environment.Environment`.
        params: Its parameters, or `None` for `env.default_params`. Defaults to `None`.
        max_episode_steps: Positive integer, steps after which an episode is truncated, or `None`
            for the limit of the parameters or of the object, the longest. Defaults to `None`.

    Raises:
        ValueError: If Keras does not run on JAX, a space is of another kind, or nothing says how
            long an episode can be.
    """

    def __init__(self, env: Any, params: Any = None, max_episode_steps: int | None = None) -> None:
        if keras.backend.backend() != "jax":
            raise ValueError(
                "`env` should be an environment that does not need JAX: those of gymnax run on the "
                f"backend jax alone. Received: env={env} on {keras.backend.backend()}"
            )
        self.env = env
        self.params = env.default_params if params is None else params
        if max_episode_steps is None:
            # The longest: POPGym Arcade has limits that it does not use, and one that is too short
            # would cut every episode.
            limits = _limits(self.params) | _limits(env)
            max_episode_steps = max(limits, default=None)
        if max_episode_steps is None:
            raise ValueError(
                "`max_episode_steps` should say after how many steps an episode is cut off: the "
                "environment and its parameters do not. "
                f"Received: max_episode_steps=None with env={env}"
            )
        self.max_episode_steps = max_episode_steps
        self.observation_space = _gymnasium_space(env.observation_space(self.params))
        self.action_space = _gymnasium_space(env.action_space(self.params))
        _, state = backend.abstract_call(self._reset, random.key(0))
        self._state_like, self._pack = backend.flatten(state)

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        return {"key": random.split(key, num_envs)}

    def initial(self, draws: Tensors) -> Tensors:
        observation, state = ops.vectorized_map(self._reset, draws["key"])
        never = ops.zeros((draws["key"].shape[0],), dtype="bool")
        return self._state(observation, state, never)

    def draw_step(self, key: Tensor, num_envs: int) -> Tensors:
        return {"key": random.split(key, num_envs)}

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        if isinstance(self.action_space, gymnasium.spaces.Box):
            action = ops.reshape(action, (-1, *self.action_space.shape))
        observation, inner, reward, terminated, truncated = ops.vectorized_map(
            lambda row: self._step(*row), (draws["key"], list(state["env"].values()), action)
        )
        state = self._state(observation, inner, terminated)
        return state, ops.cast(reward, "float32"), state["terminated"], ops.cast(truncated, "bool")

    def observation(self, state: Tensors) -> Tensor:
        return state["observation"]

    def _reset(self, key: Tensor) -> Any:
        reset = getattr(self.env, "reset_env", self.env.reset)
        return reset(key, self.params)

    def _step(self, key: Tensor, rows: list[Tensor], action: Tensor) -> Any:
        step = getattr(self.env, "step_env", self.env.step)
        observation, state, reward, *ends, _ = step(key, self._pack(rows), action, self.params)
        if len(ends) == 2:
            return observation, state, reward, *ends
        (done,) = ends
        if hasattr(self.env, "is_truncated"):
            return observation, state, reward, done, self.env.is_truncated(state, self.params)
        terminated = done
        no_limits = {name: _NO_LIMIT for name in _LIMITS if hasattr(self.params, name)}
        if no_limits and hasattr(self.env, "is_terminal"):
            without_limit = dataclasses.replace(self.params, **no_limits)
            terminated = ops.logical_and(done, self.env.is_terminal(state, without_limit))
        return observation, state, reward, terminated, done

    def _state(self, observation: Any, state: Any, terminated: Tensor) -> Tensors:
        """Dict of what `_reset` and `_step` return: the tensors of the environment's state."""
        rows, _ = backend.flatten(state)
        # Each in the dtype it begins with: JAX's loops ask for that.
        rows = [
            ops.cast(row, keras.backend.standardize_dtype(like.dtype))
            for row, like in zip(rows, self._state_like, strict=True)
        ]
        return {
            "env": {f"{index:03d}": row for index, row in enumerate(rows)},
            "observation": _join(self.observation_space, observation),
            "terminated": ops.cast(terminated, "bool"),
        }


def make_gymnax(env_id: str, **env_args: Any) -> GymnaxEnvironment:
    """Makes an environment of gymnax.

    Args:
        env_id: String, its name there, such as `"CartPole-v1"`.
        **env_args: Fields of its parameters, `max_episode_steps`, and arguments of `gymnax.make`.

    Raises:
        ValueError: If gymnax is not installed, has no such environment, or an argument is wrong.
    """
    try:
        gymnax = importlib.import_module("gymnax")
    except ImportError as error:
        raise ValueError(
            'gymnax is needed: pip install "keras_s5rl[gymnax]" '
            f"({error}). Received: env='gymnax:{env_id}'"
        ) from error
    try:
        env, params = gymnax.make(env_id)
        fields = {field.name for field in dataclasses.fields(params)}
        own = {name: value for name, value in env_args.items() if name in fields}
        others = {name: value for name, value in env_args.items() if name not in fields}
        max_episode_steps = others.pop("max_episode_steps", None)
        if others:
            env, _ = gymnax.make(env_id, **others)
        params = dataclasses.replace(params, **own)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "`env` should name an environment of gymnax, and `env_args` should fit it "
            f"({error}). Received: env='gymnax:{env_id}', env_args={env_args}"
        ) from error
    return GymnaxEnvironment(env, params, max_episode_steps)


@functools.cache
def factory_of(env: str) -> Callable[..., GymnaxEnvironment]:
    """Returns what makes the environment of a name such as `"gymnax:CartPole-v1"`."""
    return functools.partial(make_gymnax, env.removeprefix("gymnax:"))


def _limits(source: Any) -> set[int]:
    """The limits on the steps of an episode that an environment or its parameters have."""
    return {int(getattr(source, name)) for name in _LIMITS if hasattr(source, name)}


def _gymnasium_space(space: Any) -> Space:
    """Gymnasium's space for one of gymnax, which has classes of its own with the same names."""
    if isinstance(space, gymnasium.Space):
        return space
    kind = type(space).__name__
    if kind == "Discrete":
        return gymnasium.spaces.Discrete(int(space.n))
    if kind == "Box":
        dtype = np.dtype(space.dtype)
        dtype = np.dtype("uint8") if dtype == "bool" else dtype
        low, high = (
            np.broadcast_to(np.asarray(bound, dtype), space.shape)
            for bound in (space.low, space.high)
        )
        return gymnasium.spaces.Box(low, high, tuple(space.shape), dtype)
    if kind == "Dict":
        entries = {name: _gymnasium_space(part) for name, part in space.spaces.items()}
        return gymnasium.spaces.Dict(entries)
    if kind == "Tuple":
        return gymnasium.spaces.Tuple([_gymnasium_space(part) for part in space.spaces])
    raise ValueError(
        "`env` should have spaces Discrete, Box, Dict or Tuple, of gymnax or Gymnasium. "
        f"Received: space={space!r}"
    )


def _join(space: Space, observation: Any) -> Tensor:
    """The observations of all environments as one tensor, in the format of `Environment`."""
    columns = []
    for leaf in leaves(space):
        part = observation
        for key in leaf.path:
            part = part[key]
        part = ops.cast(part, value_dtype(space))
        columns.append(ops.reshape(part, (part.shape[0], -1)))
    if isinstance(space, gymnasium.spaces.Discrete):
        return columns[0][:, 0]
    return columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=1)
