"""Environments as an agent sees them, and what decides which one it is."""

import inspect
import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from keras_s5rl import envs
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.environment_check import check_unless_built_in
from keras_s5rl.envs.gymnasium.making import env_name, is_gymnasium
from keras_s5rl.envs.registry import resolve
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.training.checks import check_spaces
from keras_s5rl.training.host_views import host_view


def agent_view(env: Any, env_args: dict[str, Any] | None, config: PPOConfig) -> AgentView:
    """Returns `keras_s5rl.envs.AgentView` of an environment.

    Args:
        env: String, a registered environment, or an `Environment`; or environments of Gymnasium, of
            which `config.num_envs` are made.
        env_args: Dict of keyword arguments of an environment given by its name, or `None`.
        config: `PPOConfig`, which says whether the agent sees its previous action.

    Raises:
        ValueError: If the environment is not known or is none, see
            `keras_s5rl.envs.check_environment`, or is an object and there are `env_args`.
    """
    if is_gymnasium(env):
        return host_view(env, env_args, config)
    if isinstance(env, str):
        env = envs.make(env, **(env_args or {}))
    elif env_args:
        raise ValueError(
            "`env_args` are the arguments of an environment that is made by its name; give them to "
            f"the object yourself. Received: env_args={env_args} with env={name_of(env)}"
        )
    check_unless_built_in(env)
    return envs.AgentView(env, config.observe_previous_action)


def view_for(policy: Any, env: Any, name: str) -> AgentView:
    """Returns the view of an environment that a policy was made for.

    Args:
        policy: `keras_s5rl.models.ActorCritic`; its observation size shows whether it sees its
            previous action.
        env: `keras_s5rl.envs.Environment`.
        name: String, what the environment is called.

    Raises:
        ValueError: If the policy was not made for the spaces of `env`.
    """
    view, blind = envs.AgentView(env), envs.AgentView(env, previous_action=False)
    if blind.observation_space.shape == (policy.observation_size,):
        view = blind
    check_spaces(policy, view, name)
    return view


def name_of(env: Any) -> str:
    """Returns what an environment is called: its registered name, or that of its class."""
    if isinstance(env, gymnasium.Env | VectorEnv):
        return env_name(env)
    if callable(env) and hasattr(env, "__name__"):
        return env.__name__
    return env if isinstance(env, str) else type(env).__name__


def env_key(env: Any, env_args: dict[str, Any]) -> Hashable:
    """Returns something hashable that two environments share only if they are the same one."""
    if not isinstance(env, str):
        return id(env)
    try:
        factory, arguments = resolve(env, env_args)
        return factory, json.dumps(arguments, sort_keys=True)
    except TypeError:  # arguments that nothing compares
        return object()


def resolved_args(env: Any, env_args: dict[str, Any]) -> dict[str, Any] | None:
    """Returns all arguments of an environment given by its name as plain values, those that the
    name stands for and the defaults too; `None` of an object, whose arguments are not known."""
    if not isinstance(env, str):
        return None
    factory, arguments = resolve(env, env_args)
    return plain_arguments(factory, arguments)


def plain_arguments(factory: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns keyword arguments and the defaults of the others as values that JSON holds."""
    signature = inspect.signature(factory)
    bound = signature.bind_partial(**arguments)
    bound.apply_defaults()
    values = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind == parameter.VAR_KEYWORD:
            values |= values.pop(name)
        elif parameter.kind == parameter.VAR_POSITIONAL:
            del values[name]
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # an array
        return value.tolist()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
