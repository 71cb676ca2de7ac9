"""Agents that train several seeds side by side."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.gymnasium.making import is_gymnasium
from keras_s5rl.models.weights import copy_values
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.learner import Learner
from keras_s5rl.ppo.policy import make_policy
from keras_s5rl.ppo.seeds_learner import SeedsLearner
from keras_s5rl.runs import bootstrap_interval, statistics
from keras_s5rl.training.arguments import check_count
from keras_s5rl.training.keys import TRAINING
from keras_s5rl.training.metrics import EpisodeRecord, UpdateRecord
from keras_s5rl.training.score_record import ScoreRecord
from keras_s5rl.training.seed_records import SeedRecords
from keras_s5rl.training.seed_scores import SeedScores


def check_seeds(num_seeds: Any, seed: int, env: Any, config: PPOConfig, policy: Any) -> None:
    """Raises a ValueError unless so many seeds can train side by side."""
    check_count("num_seeds", num_seeds)
    if num_seeds == 1:
        return
    if seed + num_seeds > 2**32:
        raise ValueError(
            "`num_seeds` seeds from `seed` on should be below 2**32. "
            f"Received: num_seeds={num_seeds}, seed={seed}"
        )
    obstacles = {
        f"num_devices={config.num_devices}": config.num_devices > 1,
        "policy, which has the same weights for every seed": policy is not None,
        f"env={env}, whose simulators are stepped one after the other": is_gymnasium(env),
    }
    for obstacle, stands in obstacles.items():
        if stands:
            raise ValueError(
                "`num_seeds` should be 1 here; train the seeds one after the other. "
                f"Received: num_seeds={num_seeds} with {obstacle}"
            )


def seeds_learner(agent: Any, learner: Learner) -> SeedsLearner:
    """Returns a learner of all seeds of an agent, with the initial weights of each.

    Raises:
        ValueError: If the seeds differ in weights that do not train: a program has one value of
            these.
    """
    fixed = agent.policy.non_trainable_variables
    others = []
    for seed in agent.seeds[1:]:
        policy = make_policy(
            agent.environment,
            agent.memory,
            agent.config,
            seed,
            agent.memory_args,
            agent.encoder,
        )
        for one, other in zip(fixed, policy.non_trainable_variables, strict=True):
            if not np.array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other)):
                raise ValueError(
                    f"`num_seeds` should be 1 with memory={agent.memory}: its seeds differ in "
                    f"`{one.path}`, which does not train. Received: num_seeds={agent.num_seeds}"
                )
        key = random.fold_in(random.key(seed), TRAINING)
        others.append((key, copy_values(policy.trainable_variables)))
    return SeedsLearner(learner, others)


@contextlib.contextmanager
def seed_policy(agent: Any, seed: int) -> Iterator[Any]:
    """Yields the policy of an agent with the weights that one of its seeds has now; afterwards it
    has those of the first seed again.

    Raises:
        ValueError: If the agent does not train this seed.
    """
    if seed not in agent.seeds:
        raise ValueError(
            f"`seed` should be one of the agent's, {agent.seeds[0]} to {agent.seeds[-1]}. "
            f"Received: seed={seed}"
        )
    loop = agent.prepare(max(agent.env_steps, 1))
    loop.assign(loop.seed_states(loop.state)[seed - agent.seed])
    try:
        yield agent.policy
    finally:
        loop.write_back()


def take_best(agent: Any) -> list[int]:
    """Gives the policy of each seed of an agent the weights of its best evaluation; returns the
    updates of these evaluations."""
    loop = agent.prepare(max(agent.env_steps, 1))
    records = agent.scores.records if agent.num_seeds > 1 else [agent.scores]
    states = []
    for state, record in zip(loop.seed_states(loop.state), records, strict=True):
        loop.assign(state)
        agent.policy.set_weights(record.best_weights)
        states.append(state | loop.values())
    first, *others = states
    loop.state = {**first, "others": others} if others else first
    loop.write_back()
    return [record.best["update"] for record in records]


def first_records(agent: Any) -> tuple[UpdateRecord, ScoreRecord | SeedScores]:
    """Returns the records of a training and of its evaluations before the first update."""
    records = [EpisodeRecord.of_config(agent.config) for _ in agent.seeds]
    if agent.num_seeds == 1:
        return records[0], ScoreRecord()
    return SeedRecords(records), SeedScores([ScoreRecord() for _ in agent.seeds])


def joined_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the reports of the scores of several seeds as one.

    Means are over the seeds, `return_std` is the standard deviation of their mean returns and
    `return_ci95` the half-width of the 95 % confidence interval of Student's t. The mean returns
    are `return_mean_per_seed`, and `returns` has a list for each seed. `return_iqm` is their
    interquartile mean, `return_iqm_interval` its 95 % interval, by the bootstrap over seeds.
    """
    other_modes = [report["other_mode"] for report in reports]
    return {
        **reports[0],
        "num_seeds": len(reports),
        **_over_seeds(reports),
        "other_mode": {**other_modes[0], **_over_seeds(other_modes)},
        "returns": [report["returns"] for report in reports],
    }


def _over_seeds(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from scipy import stats  # jax needs it, too

    means = [score["return_mean"] for score in scores]
    std = float(np.std(means, ddof=1))
    quantile = float(stats.t.ppf(0.975, len(means) - 1))
    return {
        "return_mean": float(np.mean(means)),
        "return_iqm": float(statistics.iqm([means])),
        "return_iqm_interval": [float(end) for end in bootstrap_interval(statistics.iqm, [means])],
        "return_std": std,
        "return_ci95": quantile * std / math.sqrt(len(means)),
        "length_mean": float(np.mean([score["length_mean"] for score in scores])),
        "return_mean_per_seed": means,
    }
