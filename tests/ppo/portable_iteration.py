"""One iteration of PPO from fixed keys and weights, for each kind of environment and each memory.

`python -m tests.ppo.portable_iteration FILE CASE ...` writes what it gives on this backend.
"""

import dataclasses
import sys
from unittest import mock

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.models.ssm_variables import ssm_variables
from keras_s5rl.ppo import learner as learner_module
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.optimizer import make_optimizer
from keras_s5rl.ppo.policy import make_policy
from keras_s5rl.ppo.rollout import collect_rollout

# Environments by what they draw; between them every memory and every kind of action.
CASES = {
    "decks": ("RepeatPreviousEasy", "s5"),
    "normal noise, continuous actions": ("NoisyPositionOnlyPendulumEasy", "gru"),
    "ships, several actions at once": ("BattleshipEasy", "lstm"),
    "mines": ("MineSweeperEasy", "mingru"),
    "mazes": ("LabyrinthExploreEasy", "attention"),
    "bandits": ("MultiarmedBanditEasy", "lru"),
    "initial states": ("PositionOnlyCartPoleEasy", "mlp"),
    "projections": ("projected_cartpole", "s5"),
}
CONFIG = PPOConfig(
    num_envs=8,
    num_steps=64,
    num_epochs=4,
    num_minibatches=2,
    width=8,
    num_layers=1,
    encoder_sizes=(8,),
    head_sizes=(8,),
    stagger_starts=True,
    reward_scale=10.0,
)
OPTIONS = {"decks": {"target_kl": 1e-4, "ssm_learning_rate": 5e-4}}
MEMORY_ARGS = {
    "s5": {"state_size": 8},
    "lru": {"state_size": 8},
    "attention": {"context_length": 16, "num_heads": 2},
}


def make_learner(case):
    env, memory = CASES[case]
    view = envs.AgentView(envs.make(env))
    config = dataclasses.replace(
        CONFIG, normalize_observations=case == "initial states", **OPTIONS.get(case, {})
    )
    policy = make_policy(view, memory, config, 3, MEMORY_ARGS.get(memory))
    variables, total_steps = policy.trainable_variables, 100 * config.steps_per_update
    optimizer = make_optimizer(config, total_steps, variables, ssm_variables(policy))
    return learner_module.Learner(envs.AutoReset(view), policy, optimizer, config)


def iterate(case):
    """Returns the results of one compiled iteration, as a flat dict of numpy arrays."""
    learner = make_learner(case)

    def program(state):
        rollouts = []

        def collect(*arguments):
            results = collect_rollout(*arguments)
            rollouts.append(results[-1])
            return results

        with mock.patch.object(learner_module, "collect_rollout", collect):
            state, metrics = learner.iterate(state)
        return {"state": state, "metrics": metrics, "rollout": rollouts[0]}

    results = backend.compile(program)(learner.initial_state(random.key(5)))
    return {
        f"{case}/" + "/".join(map(str, path)): np.asarray(ops.convert_to_numpy(tensor))
        for path, tensor in keras.tree.flatten_with_path(results)
    }


if __name__ == "__main__":
    file, *cases = sys.argv[1:]
    arrays = {}
    for case in cases:
        arrays |= iterate(case)
    np.savez(file, **arrays)
