"""`probe_memory`: what a memory's features tell of its context, step by step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.control.projected_control import ProjectedControl
from keras_s5rl.models import ActorCritic
from keras_s5rl.models.weights import detached_values, values_in_place
from keras_s5rl.training.arguments import check_count, check_env_args
from keras_s5rl.training.checks import check_spaces
from keras_s5rl.training.evaluation import compile_play
from keras_s5rl.training.in_context import draw_contexts
from keras_s5rl.training.keys import PROBING
from keras_s5rl.training.ppo import PPO
from keras_s5rl.training.ridge_probes import accuracy, explained_share
from keras_s5rl.training.untrained_policy import untrained_policy
from keras_s5rl.typing import Array, Tensor, Tensors

_STEPS = (0, 1, 2, 5, 10, 20, 50, 99, 100, 110, 199, 399)
_LEAST_CONTEXTS = 16


def probe_memory(
    agent: PPO,
    num_contexts: int = 256,
    steps: Sequence[int] | None = None,
    env_args: dict[str, Any] | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Says how much of its context a policy's memory tells, at steps of contexts never seen.

    The policy plays draws from itself in contexts of `projected_control`. At each step a ridge
    regression on what the heads see, the features of the memory, predicts

    - the task, of all contexts: the share of tasks found;
    - of the contexts of each task alone: the state before it is projected (the entries that the
      task has), the observation matrix and the action matrix (the columns and rows that it uses).

    A prediction is one of contexts that the regression has not seen, and scores are shares of
    explained variance: 1 if the features tell all, 0 if they tell nothing. Beside the agent the one
    is probed that it was before its training, on the same observations.

    A memory that does not tell a matrix may still act well: one that is the same behind every
    matrix (`s5_equivariant`) has none to tell.

    Args:
        agent: `keras_s5rl.PPO` with an `ActorCritic` in `projected_control`.
        num_contexts: Integer of at least 16, contexts of each task. Defaults to `256`.
        steps: Increasing integers from 0, steps of the context, or `None` for some that lie the
            farther apart the later they are. Defaults to `None`.
        env_args: Dict of keyword arguments of the environment that take the place of those trained
            with, or `None`: projections are at their full strength, of tier T1. Defaults to `None`.
        seed: Integer from 0 to 2**32 - 1 of what the policy draws, or `None` for the agent's own.
            Defaults to `None`.

    Returns:
        Dict: `env`, `env_args`, `memory`, `seed`, `num_contexts`, `update`, `env_steps`, `steps`
        (list of integers), and `probes`, a list of dicts: `target` (`"task"`, `"state"`,
        `"observation matrix"` or `"action matrix"`), `task` (`None` for the first), `chance` (what
        nothing tells), and `trained` and `fresh`, lists of a number for each step, `None` where
        fewer than 16 contexts of a task are still under way.

    Raises:
        ValueError: If the environment has no projections, or an argument does not fit it.

    Reference:
    - Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
    """
    check_count("num_contexts", num_contexts)
    check_env_args(env_args)
    env_args = dict(env_args or {})
    if not isinstance(agent.environment.env, ProjectedControl):
        raise ValueError(
            "`env` should be projected_control, whose contexts have a task and two matrices to "
            f"identify. Received: env={agent.env}"
        )
    if num_contexts < _LEAST_CONTEXTS:
        raise ValueError(
            f"`num_contexts` should be at least {_LEAST_CONTEXTS}. "
            f"Received: num_contexts={num_contexts}"
        )
    if agent.policy_is_given or not isinstance(agent.policy, ActorCritic):
        raise ValueError(
            "`policy` should be one with a registered memory, whose features can be probed. "
            f"Received: policy={type(agent.policy).__name__}"
        )
    env = envs.make(agent.env, **{**agent.env_args, "strength": 1.0, "tier": "T1", **env_args})
    steps = _checked_steps(steps, env.max_episode_steps)
    seed = agent.seed if seed is None else seed
    contexts = draw_contexts(env, num_contexts, len(env.tasks))
    observations, active = _play(agent, env, contexts, seed)
    fresh = untrained_policy(agent)
    remember = _compile_memory(agent.policy, observations, len(env.tasks), steps)
    features = {"trained": remember(agent.policy), "fresh": remember(fresh)}
    return {
        "env": agent.env,
        "env_args": {**agent.env_args, **env_args},
        "memory": agent.memory,
        "seed": seed,
        "num_contexts": num_contexts,
        "update": agent.update,
        "env_steps": agent.env_steps,
        "steps": steps,
        "probes": _probes(env, contexts, observations[:, steps], active[:, steps], features),
    }


def _checked_steps(steps: Sequence[int] | None, most: int) -> list[int]:
    if steps is None:
        return [step for step in _STEPS if step < most]
    chosen = list(steps)
    if not chosen or chosen != sorted(set(chosen)) or chosen[0] < 0 or chosen[-1] >= most:
        raise ValueError(
            f"`steps` should be increasing integers from 0 to {most - 1}. Received: steps={steps}"
        )
    return chosen


def _play(agent: PPO, env: Any, contexts: Tensors, seed: int) -> tuple[Array, Array]:
    """Plays contexts; returns observations `(contexts, time, features)` and which are of them."""
    view = agent.view(env)
    check_spaces(agent.policy, view, agent.env)
    play = compile_play(
        view,
        agent.policy,
        view.initial,
        {"num_contexts": contexts["task"].shape[0]},
        lambda state, reward, active: (view.observation(state), active),
    )
    key = random.fold_in(random.key(seed), PROBING)
    observations, active = play(agent.policy, contexts, key, False)[2]
    return np.swapaxes(observations, 0, 1), active.T


def _compile_memory(
    policy: Any, observations: Array, num_parts: int, steps: list[int]
) -> Callable[[Any], Array]:
    """Returns a function of a policy like this one: what its heads see at steps of sequences,
    `(contexts, steps, features)`."""
    chosen = np.array(steps)

    @backend.compile
    def program(weights: list[Tensor], observations: Tensor) -> Tensor:
        with values_in_place(policy.variables, weights):
            return ops.take(policy.remember(observations)[0], chosen, axis=1)

    def remember(other: Any) -> Array:
        weights = detached_values(other.variables)
        # Part by part, so that less is in memory at a time.
        parts = [program(weights, ops.convert_to_tensor(part)) for part in split]
        return np.concatenate([ops.convert_to_numpy(part) for part in parts])

    split = np.split(observations, num_parts)
    return remember


def _probes(
    env: Any, contexts: Tensors, observations: Array, active: Array, features: dict[str, Array]
) -> list[dict[str, Any]]:
    draws = backend.fetch(dict(contexts))
    task = draws["task"]

    def probe(target: str, of: str | None, rows: Array, targets: Array) -> dict[str, Any]:
        score = accuracy if of is None else explained_share
        values = {
            name: [
                score(all_of[there, step], targets[there, step])
                if (there := rows & active[:, step]).sum() >= _LEAST_CONTEXTS
                else None
                for step in range(active.shape[1])
            ]
            for name, all_of in features.items()
        }
        chance = 1.0 / len(env.tasks) if of is None else 0.0
        return {"target": target, "task": of, "chance": chance, **values}

    def constant(values: Array) -> Array:
        """Values of a context at each of its steps."""
        values = values.reshape(len(values), 1, -1)
        return np.broadcast_to(values, (len(values), active.shape[1], values.shape[2]))

    probes = []
    if len(env.tasks) > 1:
        everywhere = np.ones(len(task), bool)
        probes.append(probe("task", None, everywhere, constant(task)[:, :, 0]))
    mixing = draws.get("observation_projection")
    for number, name in enumerate(env.tasks):
        rows, size, controls = task == number, env.state_sizes[number], env.control_sizes[number]
        state = observations[:, :, : env.projected_size]
        if mixing is not None:
            state = np.einsum("npk,ntp->ntk", mixing, state)
        probes.append(probe("state", name, rows, state[:, :, :size]))
        if mixing is not None:
            probes.append(probe("observation matrix", name, rows, constant(mixing[:, :, :size])))
        if "action_projection" in draws:
            turns = draws["action_projection"][:, :, :controls]
            probes.append(probe("action matrix", name, rows, constant(turns)))
    return probes
