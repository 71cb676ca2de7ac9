"""Checks of what fits together, and of results."""

import sys
from typing import Any

import keras
import numpy as np

from keras_s5rl import backend
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.registry import is_registered
from keras_s5rl.models import distribution_for, registered_encoders, registered_memories
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import check_imports


class NonFiniteLossError(RuntimeError):
    """A loss or gradient became infinite or not a number."""


def check_devices(config: PPOConfig) -> None:
    """Raises a ValueError if there are fewer devices than are to train together, or processes do
    not have as many of them each."""
    num_processes = backend.processes.count()
    if config.num_devices % num_processes:
        raise ValueError(
            "`num_devices` should be a multiple of the number of processes: it is the sum of the "
            f"devices of all {num_processes}. Received: num_devices={config.num_devices}"
        )
    available = backend.devices.count()
    if config.num_devices > available:
        raise ValueError(
            f"`num_devices` should be at most {available}, the devices that can train together "
            f"here (backend {keras.backend.backend()}). On JAX the cores of a CPU become devices "
            "where the environment variable JAX_NUM_CPU_DEVICES says so when Python starts; "
            f"launch/train.py sets it. Received: num_devices={config.num_devices}"
        )


def check_activation(name: str) -> None:
    """Raises a ValueError unless Keras has an activation of this name."""
    try:
        keras.activations.get(name)
    except ValueError:
        raise ValueError(
            "`activation` should be the name of a Keras activation, such as 'leaky_relu'. "
            f"Received: activation={name!r}"
        ) from None


def check_known(settings: dict[str, Any]) -> None:
    """Raises a ValueError that names the modules to import if there are some that have registered
    the environment, the memory or the encoder of a run and were not imported."""
    has_known_policy = "policy" in settings or (
        settings["memory"] in registered_memories() and settings["encoder"] in registered_encoders()
    )
    if not (is_registered(settings["env"]) and has_known_policy):
        check_imports(settings, sys.modules)


def check_spaces(policy: Any, view: AgentView, name: str) -> None:
    """Raises a ValueError unless a policy was made for the spaces of an environment.

    Args:
        policy: `keras_s5rl.models.ActorCritic`.
        view: `keras_s5rl.envs.AgentView` of the environment.
        name: String, what the environment is called.
    """
    size, distribution = view.observation_space.shape[0], distribution_for(view.action_space)
    if (size, repr(distribution)) != (policy.observation_size, repr(policy.distribution)):
        raise ValueError(
            "`env` should have the spaces that the policy was made for: observations of "
            f"{policy.observation_size} numbers, those of the agent's view among them, and actions "
            f"{policy.distribution}. Received: env={name} with {size} numbers from "
            f"{view.env.observation_space}, and actions {distribution}"
        )


def check_tasks(config: PPOConfig, view: AgentView, name: str) -> None:
    """Raises a ValueError if advantages are asked for per task of an environment without tasks."""
    if config.normalize_advantages == "task" and not view.tasks:
        raise ValueError(
            "`normalize_advantages` should be 'minibatch' or 'none': advantages per task need an "
            "environment that draws its episodes from several tasks, such as projected_control. "
            f"Received: normalize_advantages='task' with env={name}"
        )


def check_finite(values: dict[str, Any], update: int) -> None:
    """Raises a NonFiniteLossError unless all metrics of an update are finite numbers."""
    wrong = {name: np.min(value) for name, value in values.items() if not np.isfinite(value).all()}
    if wrong:
        name = next(iter(wrong))
        raise NonFiniteLossError(
            f"Update {update} has non-finite {', '.join(wrong)}: training has diverged. The policy "
            "is that of the update before. Lower `learning_rate` or `max_grad_norm`, or look for "
            f"infinite rewards or observations. Received: {name}={wrong[name]}"
        )
