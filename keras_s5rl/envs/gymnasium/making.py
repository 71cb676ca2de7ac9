"""Vector environments of Gymnasium, made of what a user gives."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

# Arguments that say how copies are made, not which environment they are
OF_COPIES = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers")

_PREFIX = "gymnasium:"
_SAME_STEP = {"autoreset_mode": AutoresetMode.SAME_STEP}


def is_gymnasium(env: Any) -> bool:
    """Returns whether `env` stands for environments of Gymnasium: an id with a colon
    (`"gymnasium:CartPole-v1"`, `"module:id"`), an `Env`, a `VectorEnv`, or a callable."""
    if isinstance(env, str):
        return ":" in env and not env.startswith("gymnax:")
    return isinstance(env, gymnasium.Env | VectorEnv) or (
        callable(env) and not hasattr(env, "draw_initial")
    )


def is_given(env: Any) -> bool:
    """Returns whether `env` is an environment already, which is not ours to close."""
    return isinstance(env, gymnasium.Env | VectorEnv)


def make_vector_env(env: Any, num_envs: int, env_args: dict[str, Any] | None = None) -> VectorEnv:
    """Returns a `gymnasium.vector.VectorEnv`.

    What is made here is stepped one environment after the other and restarts environments in the
    step in which their episode ends, unless `env_args` say otherwise.

    Args:
        env: The id of an environment: in `"module:id"` the module is imported first, and the module
            `gymnasium` may stand before any id; a callable that returns a new `gymnasium.Env`; an
            `Env`; or a `VectorEnv`, which is returned as it is.
        num_envs: Integer, copies to make. One `Env` makes one.
        env_args: Dict of keyword arguments of an environment given by its id, and of
            `gymnasium.make_vec`: `vectorization_mode` (`"sync"`, `"async"` or
            `"vector_entry_point"`), `vector_kwargs`, `wrappers`. A wrapper is a callable, a string
            `"module:name"` of one, or a pair of that and a dict of its arguments. Defaults to
            `None`.

    Raises:
        ValueError: If there is no such environment, it cannot be made, or the arguments do not fit.
    """
    if env_args and not isinstance(env, str):
        raise ValueError(
            "`env_args` are the arguments of an environment that is made by its id; give them to "
            f"the object yourself. Received: env_args={env_args} with env={env}"
        )
    if isinstance(env, VectorEnv):
        return env
    if isinstance(env, gymnasium.Env):
        return SyncVectorEnv([lambda: env], **_SAME_STEP)
    if isinstance(env, str):
        return _make_by_id(env, num_envs, dict(env_args or {}))
    if callable(env):
        return SyncVectorEnv([lambda: _called(env)] * num_envs, **_SAME_STEP)
    raise ValueError(
        "`env` should be an id, a callable that makes a gymnasium.Env, an Env or a VectorEnv. "
        f"Received: env={env!r}"
    )


def env_name(envs: Any) -> str:
    """Returns the id of an `Env` or of what runs in a `VectorEnv`, or the name of its class."""
    env = envs.unwrapped
    env = envs if envs.spec is not None else getattr(env, "envs", [env])[0]
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _make_by_id(env: str, num_envs: int, env_args: dict[str, Any]) -> VectorEnv:
    arguments = {"vectorization_mode": "sync", **env_args}
    if "wrappers" in arguments:
        arguments["wrappers"] = [_wrapper(wrapper) for wrapper in arguments["wrappers"]]
    mode = arguments["vectorization_mode"]
    if mode in ("sync", "async"):
        # A process that is forked from one in which a backend runs may hang.
        context = {"context": "forkserver"} if mode == "async" else {}
        given = arguments.get("vector_kwargs") or {}
        arguments["vector_kwargs"] = {**_SAME_STEP, **context, **given}
    try:
        return gymnasium.make_vec(env.removeprefix(_PREFIX), num_envs=num_envs, **arguments)
    except Exception as error:  # of the environment's constructor, too
        raise ValueError(
            "`env` should be the id of a Gymnasium environment, with the module that registers "
            "it where that is not Gymnasium, such as 'popgym:popgym-RepeatPreviousEasy-v0', "
            f"and `env_args` should fit it: {str(error).rstrip('.')}. "
            f"Received: env={env!r}, env_args={env_args}"
        ) from error


def _called(env: Callable[[], Any]) -> gymnasium.Env:
    made = env()
    if not isinstance(made, gymnasium.Env):
        raise ValueError(
            "`env` should return a new gymnasium.Env each time that it is called. "
            f"Received: env={env!r}, which returned {made!r}"
        )
    return made


def _wrapper(wrapper: Any) -> Callable[[Any], Any]:
    """The function of an environment that a wrapper in `env_args` stands for."""
    if callable(wrapper):
        return wrapper
    path, arguments = wrapper, {}
    if isinstance(wrapper, Sequence) and not isinstance(wrapper, str) and len(wrapper) == 2:
        path, arguments = wrapper
    if not isinstance(path, str) or path.count(":") != 1 or not isinstance(arguments, dict):
        raise ValueError(
            "`wrappers` should hold strings 'module:name', or pairs of one and a dict of its "
            f"arguments. Received: {wrapper!r} among wrappers"
        )
    module, name = path.split(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            "`wrappers` should name functions or classes that can be imported "
            f"({error}). Received: {wrapper!r} among wrappers"
        ) from error
    return lambda env: function(env, **arguments)
