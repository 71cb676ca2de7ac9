"""`evaluate_in_context`: how a policy gets better inside a context, without learning."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.envs.control.tiers import TIERS
from keras_s5rl.training.arguments import check_count, check_env_args
from keras_s5rl.training.checks import check_spaces
from keras_s5rl.training.context_scores import score_contexts
from keras_s5rl.training.evaluation import compile_play
from keras_s5rl.training.keys import IN_CONTEXT
from keras_s5rl.training.ppo import PPO
from keras_s5rl.training.untrained_policy import untrained_policy
from keras_s5rl.training.views import env_key, resolved_args
from keras_s5rl.typing import Tensor, Tensors

_HELD_OUT = ("T1", "T2", "T3")
_NEEDED = ("num_trials", "trial_steps", "draw_bank")


def evaluate_in_context(
    agent: PPO,
    num_contexts: int = 256,
    deterministic: bool = True,
    env_args: dict[str, Any] | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Scores a policy trial by trial and step by step inside contexts that it has never seen.

    Its environment has trials (`num_trials`, `trial_steps`, `draw_bank`, and `trial` and
    `trial_step` in `info`), as `projected_cartpole` and `projected_control` have. Contexts are the
    first of the environment's bank, so that every agent is scored on the same ones, and beside the
    agent the one is scored that it was before its training. An environment with `tasks` (whose
    draws hold `task`) is scored on each of them alone, one with a `tier` on each tier: `T1`, new
    projections, `T2`, new tasks, and `T3`, new physics, always at the full strength of projections.

    Returns and rewards are in units of the environment's `max_reward`, the largest reward of a step
    (1 where it has no such attribute), and returns of `trial_steps` of them: a perfect trial is 1.

    Args:
        agent: `keras_s5rl.PPO`.
        num_contexts: Positive integer, contexts of each task. Defaults to `256`.
        deterministic: Whether the scores are those of the mode of the policy rather than of draws
            from it. Defaults to `True`.
        env_args: Dict of keyword arguments of the environment that take the place of those trained
            with, or `None`. With `tier` in it that tier alone is played. Without `tasks` in it tier
            T2 has its own. Defaults to `None`.
        seed: Integer from 0 to 2**32 - 1 of what is drawn in the steps, or `None` for the agent's
            own. The contexts are the same for each. Defaults to `None`.

    Returns:
        Dict: `env`, `env_args`, `memory`, `seed`, `num_contexts`, `deterministic`, `update`,
        `env_steps`; `skipped`, a list of dicts `tier, task, reason` of the tasks that do not fit
        the policy; `scores`, a list of dicts, one of each tier and task: `tier`, `task`, `env_args`
        (all of them, defaults too), `num_trials`, `trial_steps`, and `trained` and `fresh`, the
        scores of the agent and of the untrained one:
        dicts of `return_mean`, `return_ci95`, `trial_return_mean`, `trial_return_ci95` (lists over
        trials), `reward_mean`, `reward_ci95`, `count` (lists over steps), `first_trial`, `binned`
        (see `keras_s5rl.training.context_scores`) and `other_mode`, the means of the returns of the
        policy played the other way in the same contexts.

    Raises:
        ValueError: If the environment has no trials, or an argument does not fit it.

    Example:

    >>> from keras_s5rl import PPO, PPOConfig
    >>> from keras_s5rl.training import evaluate_in_context
    >>> env_args = {"num_trials": 3, "trial_steps": 10}
    >>> config = PPOConfig(width=16, num_layers=1)
    >>> agent = PPO("projected_cartpole", env_args=env_args, config=config)
    >>> report = evaluate_in_context(agent, num_contexts=4)
    >>> len(report["scores"][0]["trained"]["trial_return_mean"])
    3
    """
    check_count("num_contexts", num_contexts)
    check_boolean("deterministic", deterministic)
    check_env_args(env_args)
    seed = agent.seed if seed is None else seed
    key = random.fold_in(random.key(seed), IN_CONTEXT)
    env_args = dict(env_args or {})
    _check_has_trials(agent.environment.env, agent.env)
    policies = {
        "trained": agent.policy,
        "fresh": untrained_policy(agent),
    }
    tiers, skipped = _tiers(agent, env_args)
    scores = []
    for tier, env, arguments in tiers:
        made_of = agent.env if agent.is_named else env
        sizes = {"num_trials": env.num_trials, "trial_steps": env.trial_steps}
        play = agent.programs.get(
            ("contexts", env_key(made_of, arguments), num_contexts),
            functools.partial(_compile_play, agent, env, num_contexts),
        )
        played = _score_tasks(agent, env, play, policies, key, num_contexts, deterministic)
        scores += [
            {
                "tier": tier,
                "task": task,
                "env_args": resolved_args(made_of, arguments),
                **sizes,
                **played[task],
            }
            for task in played
        ]
    return {
        "env": agent.env,
        "env_args": {**agent.env_args, **env_args},
        "memory": agent.memory,
        "seed": seed,
        "num_contexts": num_contexts,
        "deterministic": deterministic,
        "update": agent.update,
        "env_steps": agent.env_steps,
        "skipped": skipped,
        "scores": scores,
    }


def _check_has_trials(env: Any, name: str) -> None:
    missing = [attribute for attribute in _NEEDED if not hasattr(env, attribute)]
    if missing:
        raise ValueError(
            "`env` should be made of trials, as projected_cartpole and projected_control are, to "
            f"be scored inside its contexts; this one has no {', '.join(missing)}. Evaluate whole "
            f"episodes instead. Received: env={name}"
        )


def _tiers(
    agent: PPO, env_args: dict[str, Any]
) -> tuple[list[tuple[str, Any, dict[str, Any]]], list[dict[str, Any]]]:
    """Returns `(tier, env, its arguments)` of each tier to play, and what is left out of them."""
    env = agent.environment.env
    if not hasattr(env, "tier"):
        arguments = {**agent.env_args, **env_args}
        return [("T1", envs.make(agent.env, **arguments) if env_args else env, arguments)], []
    tiers, skipped = [], []
    for tier in (env_args["tier"],) if "tier" in env_args else _HELD_OUT:
        arguments = {**agent.env_args, "strength": 1.0, **env_args, "tier": tier}
        if tier == "T2" and "tasks" not in env_args:
            arguments["tasks"], left_out = _fitting_tasks(agent.env, arguments)
            skipped += [{"tier": tier, **task} for task in left_out]
            if not arguments["tasks"]:
                continue
        tiers.append((tier, envs.make(agent.env, **arguments), arguments))
    if not tiers:
        raise ValueError(skipped[0]["reason"])
    return tiers, skipped


def _fitting_tasks(
    env: str, arguments: Mapping[str, Any]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Returns which of a tier's own tasks fit the arguments of a run, and why others do not."""
    fitting, skipped = [], []
    for task in TIERS[arguments["tier"]].tasks:
        try:
            envs.make(env, **{**arguments, "tasks": (task,)})
            fitting.append(task)
        except ValueError as error:
            skipped.append({"task": task, "reason": str(error)})
    return fitting, skipped


def _score_tasks(
    agent: PPO,
    env: Any,
    play: Callable[..., Any],
    policies: Mapping[str, Any],
    key: Tensor,
    num_contexts: int,
    deterministic: bool,
) -> dict[str, dict[str, Any]]:
    """Plays all tasks of an environment in one batch; returns the scores of each."""
    tasks = getattr(env, "tasks", ()) or (agent.env,)
    contexts = draw_contexts(env, num_contexts, len(tasks))

    def score(policy: Any, mode: Any) -> Any:
        records = play(policy, contexts, key, mode)
        by_task = zip(*(np.split(r, len(tasks), axis=1) for r in records), strict=True)
        sizes = {"num_trials": env.num_trials, "trial_steps": env.trial_steps}
        return [score_contexts(*record, **sizes) for record in by_task]

    scores: dict[str, dict[str, Any]] = {task: {} for task in tasks}
    for name, policy in policies.items():
        played, other = score(policy, deterministic), score(policy, not deterministic)
        for task, of_played, of_other in zip(tasks, played, other, strict=True):
            means = {mean: of_other[mean] for mean in ("return_mean", "trial_return_mean")}
            other_mode = {"deterministic": not deterministic, **means}
            scores[task][name] = {**of_played, "other_mode": other_mode}
    return scores


def _compile_play(agent: PPO, env: Any, num_contexts: int) -> Callable[..., Any]:
    """Returns `play(policy, contexts, key, deterministic)`: records as `score_contexts` takes."""
    view = agent.view(env)
    check_spaces(agent.policy, view, agent.env)

    def record(state: Any, reward: Tensor, active: Tensor) -> Any:
        info = view.info(state)
        reward = reward / getattr(view.env, "max_reward", 1.0)
        return reward, active, info["trial"], info["trial_step"]

    sizes = {"num_contexts": num_contexts}
    play = compile_play(view, agent.policy, view.initial, sizes, record)
    return lambda *arguments: play(*arguments)[2]


def draw_contexts(env: Any, num_contexts: int, num_tasks: int) -> Tensors:
    """Returns draws from the bank: the first contexts of each task, task by task."""
    if num_tasks == 1:
        return env.draw_bank(num_contexts)
    num_drawn = num_tasks * num_contexts * 5 // 4 + 64  # tasks are drawn, so mostly enough of each
    while True:
        draws = env.draw_bank(num_drawn)
        tasks = ops.convert_to_numpy(draws["task"])
        rows = [np.flatnonzero(tasks == task)[:num_contexts] for task in range(num_tasks)]
        if min(map(len, rows)) == num_contexts:
            break
        num_drawn *= 2
    rows = np.concatenate(rows)
    return keras.tree.map_structure(lambda draw: ops.take(draw, rows, axis=0), draws)
