"""The score of an agent: `PPO.evaluate` without its documentation, and scores while it trains."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.envs.gymnasium.making import is_gymnasium
from keras_s5rl.ppo.host_memory import memory_errors_named
from keras_s5rl.training.arguments import check_count, check_env_args
from keras_s5rl.training.checks import check_spaces
from keras_s5rl.training.evaluation import compile_episodes, summarize
from keras_s5rl.training.gymnasium_agents import (
    evaluate_agent_in_gymnasium,
    playing_in_gymnasium,
)
from keras_s5rl.training.keys import EVALUATION, WHILE_TRAINING
from keras_s5rl.training.metrics import EVALUATION_METRICS
from keras_s5rl.training.seeds import joined_reports
from keras_s5rl.training.views import env_key, name_of, resolved_args
from keras_s5rl.typing import Tensor


def evaluate_agent(
    agent: Any,
    num_episodes: int,
    deterministic: bool,
    env: Any,
    env_args: dict[str, Any] | None,
    seed: int | None,
) -> dict[str, Any]:
    """Returns what `PPO.evaluate` of the agent returns; the arguments are its."""
    check_count("num_episodes", num_episodes)
    check_boolean("deterministic", deterministic)
    check_env_args(env_args)
    if agent.num_seeds == 1:
        return _evaluate(
            agent, num_episodes, deterministic, env, env_args, agent.seed if seed is None else seed
        )
    reports = []
    for own_seed in agent.seeds:
        episodes_seed = own_seed if seed is None else seed
        with agent.seed_policy(own_seed):
            reports.append(
                _evaluate(agent, num_episodes, deterministic, env, env_args, episodes_seed)
            )
    return joined_reports(reports)


def _evaluate(
    agent: Any,
    num_episodes: int,
    deterministic: bool,
    env: Any,
    env_args: dict[str, Any] | None,
    seed: int,
) -> dict[str, Any]:
    """The score of the policy as it is."""
    env, arguments = _scored_in(agent, env, env_args)
    if is_gymnasium(env):
        return evaluate_agent_in_gymnasium(agent, env, arguments, num_episodes, deterministic, seed)
    key = random.fold_in(random.key(seed), EVALUATION)
    play = _program(agent, env, arguments, num_episodes)
    played, other = play(agent.policy, key, (deterministic, not deterministic))
    return {
        "env": name_of(env),
        "env_args": resolved_args(env, arguments),
        "num_episodes": num_episodes,
        "deterministic": deterministic,
        "seed": seed,
        "update": agent.update,
        "env_steps": agent.env_steps,
        **summarize(*played),
        "other_mode": {"deterministic": not deterministic, **summarize(*other)},
        "returns": played[0].tolist(),
    }


@contextlib.contextmanager
def scoring(agent: Any, num_episodes: int) -> Iterator[Callable[[int], dict[str, float]]]:
    """Yields a function of the place of a seed among those of the agent, which scores the policy as
    it is, in the episodes of this seed, and returns metrics.

    It plays the mode of the policy in the same episodes each time, so that two scores differ by the
    policies alone. They are neither training's nor those of `PPO.evaluate`: the best of many scores
    flatters the policy that it chooses, and a score on other episodes does not.
    """
    keys = [random.fold_in(random.key(seed), WHILE_TRAINING) for seed in agent.seeds]
    with contextlib.ExitStack() as stack:
        if is_gymnasium(agent.given_env):
            bits = int(ops.convert_to_numpy(random.bits(keys[0], ())))  # there is but one seed
            play_own = stack.enter_context(playing_in_gymnasium(agent, num_episodes, bits))

            def play(key: Tensor) -> Any:
                return play_own()
        else:
            program = _program(agent, agent.given_env, agent.env_args, num_episodes)

            def play(key: Tensor) -> Any:
                return program(agent.policy, key, (True,))[0]

        def score(seed: int) -> dict[str, float]:
            scores = summarize(*play(keys[seed]))
            return {name: scores[name.removeprefix("eval_")] for name in EVALUATION_METRICS}

        yield score


def _program(
    agent: Any, env: Any, env_args: dict[str, Any], num_episodes: int
) -> Callable[..., Any]:
    return agent.programs.get(
        ("episodes", env_key(env, env_args), num_episodes),
        lambda: _compile(agent, env, env_args, num_episodes),
    )


def _scored_in(agent: Any, env: Any, env_args: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """The environment of an evaluation: by default the agent's, as it was trained in."""
    if env is None or env == agent.given_env:
        return agent.given_env, agent.env_args if env_args is None else env_args
    return env, env_args or {}


def _compile(
    agent: Any, env: Any, env_args: dict[str, Any], num_episodes: int
) -> Callable[..., Any]:
    view = agent.environment
    if (env, env_args) != (agent.given_env, agent.env_args):
        with memory_errors_named({"env_args": env_args}):
            view = agent.view(env, env_args)
        check_spaces(agent.policy, view, name_of(env))
    return compile_episodes(view, agent.policy, num_episodes)
