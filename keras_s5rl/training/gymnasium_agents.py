"""The score of an agent in environments of Gymnasium."""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv, VectorWrapper

from keras_s5rl.envs.gymnasium.making import OF_COPIES
from keras_s5rl.training.gymnasium_evaluation import (
    MAX_COPIES,
    evaluate_gymnasium,
    make_copies,
    play_episodes,
)


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


@contextlib.contextmanager
def playing_in_gymnasium(agent: Any, num_episodes: int, seed: int) -> Iterator[Callable[[], Any]]:
    """Yields a function that plays the agent's policy, as it is, in fresh copies of its
    environment, the same episodes each time; it returns `returns, lengths`."""
    env = _fresh_copies(agent.given_env, min(num_episodes, MAX_COPIES))
    copies = make_copies(agent.policy, env, num_episodes, agent.env_args or None)
    try:
        yield lambda: play_episodes(agent.policy, copies, num_episodes, True, seed)
    finally:
        copies.close()


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
