"""The score of an agent in environments of Gymnasium."""

import copy
import functools
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv, VectorWrapper

from keras_s5rl.envs.gymnasium.making import OF_COPIES
from keras_s5rl.training.gymnasium_evaluation import MAX_COPIES, evaluate_gymnasium


def evaluate_agent_in_gymnasium(
    agent: Any,
    env: Any,
    env_args: dict[str, Any],
    num_episodes: int,
    deterministic: bool,
    seed: int,
) -> dict[str, Any]:
    """Returns what `PPO.evaluate` of the agent returns, played in fresh copies of `env`."""
    copies = _fresh_copies(env, min(num_episodes, MAX_COPIES))
    try:
        report = evaluate_gymnasium(
            agent.policy, copies, num_episodes, deterministic, seed, env_args or None
        )
    finally:
        if copies is not env and isinstance(copies, VectorEnv):
            copies.close()
    arguments = report["env_args"]
    if isinstance(env, str):
        given = {name: env_args[name] for name in OF_COPIES if name in env_args}
        report |= {"env": env, "env_args": {**(arguments or {}), **given}}
    names = ("env", "env_args", "num_episodes", "deterministic", "seed")
    first = {name: report.pop(name) for name in names}
    return {**first, "update": agent.update, "env_steps": agent.env_steps, **report}


def _fresh_copies(env: Any, num_envs: int) -> Any:
    """What fresh copies of the environments are made by: an id, a callable, or the copies."""
    if not isinstance(env, gymnasium.Env | VectorEnv):
        return env
    if env.spec is None or isinstance(env, VectorWrapper):
        raise ValueError(
            "`env` should be an id or a callable, by which fresh copies can be made to score in, "
            "or have a `spec` that does; keras_s5rl.training.evaluate_gymnasium plays in the "
            f"environments that it is given. Received: env={env}"
        )
    if isinstance(env, gymnasium.Env):
        return functools.partial(gymnasium.make, env.spec)
    spec = copy.deepcopy(env.spec)
    spec.kwargs["num_envs"] = num_envs
    return gymnasium.make_vec(spec)
