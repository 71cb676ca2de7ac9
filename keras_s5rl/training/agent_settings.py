"""The settings of an agent: `PPO.settings` without its documentation."""

import dataclasses
from typing import Any

import keras

from keras_s5rl.training.given_policy import recorded_policy


def agent_settings(agent: Any) -> dict[str, Any]:
    """Returns what `PPO.settings` of the agent returns."""
    return {
        "env": agent.env,
        "env_args": agent.env_args,
        "memory": agent.memory,
        "memory_args": agent.memory_args,
        "encoder": agent.encoder,
        "backend": keras.backend.backend(),
        "seed": agent.seed,
        "num_seeds": agent.num_seeds,
        "imports": agent.imports,
        **dataclasses.asdict(agent.config),
        **({"policy": recorded_policy(agent.policy)} if agent.policy_is_given else {}),
    }
