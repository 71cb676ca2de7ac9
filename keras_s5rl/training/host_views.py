"""Environments of Gymnasium as an agent that trains in them sees them."""

from typing import Any

import gymnasium

from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.gymnasium.host_environments import HostEnvironments
from keras_s5rl.ppo.config import PPOConfig


def host_view(env: Any, env_args: dict[str, Any] | None, config: PPOConfig) -> AgentView:
    """Returns the `AgentView` of new or given environments of Gymnasium, `config.num_envs` of them.

    Raises:
        ValueError: If they cannot be made, or the configuration asks for what they cannot do.
    """
    for name, needed in (("num_devices", 1), ("stagger_starts", False)):
        if getattr(config, name) != needed:
            raise ValueError(
                f"`{name}` should be {needed} with environments of Gymnasium, which are stepped on "
                f"the host. Received: {name}={getattr(config, name)}"
            )
    if isinstance(env, gymnasium.Env) and config.num_envs != 1:
        raise ValueError(
            "`env` should be an id such as 'gymnasium:CartPole-v1' or a callable, of which "
            "`num_envs` copies can be made; one Env alone trains with num_envs=1 and "
            f"num_minibatches=1. Received: env={env} with num_envs={config.num_envs}"
        )
    host = HostEnvironments(env, config.num_envs, env_args)
    if host.is_of_package:  # a program, which would wait for the one that calls it
        host.close()
        raise ValueError(
            "`env` should be the registered name of an environment of this package, such as "
            "'RepeatPreviousEasy': it then trains without Gymnasium, and faster. "
            f"Received: env={host.name}"
        )
    return AgentView(host, config.observe_previous_action)


def close_environments(view: AgentView) -> None:
    """Closes environments of Gymnasium that were made for the agent; given ones stay open."""
    if isinstance(view.env, HostEnvironments):
        view.env.close()
