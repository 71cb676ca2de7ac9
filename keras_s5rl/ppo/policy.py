"""The policy that a configuration describes."""

from typing import Any

from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.space_leaves import leaves
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.models import ActorCritic, distribution_for, make_memory
from keras_s5rl.ppo.config import PPOConfig


def make_policy(
    environment: AgentView,
    memory: str,
    config: PPOConfig,
    seed: int,
    memory_args: dict[str, Any] | None = None,
) -> ActorCritic:
    """Returns a new policy for an environment.

    Args:
        environment: `keras_s5rl.envs.AgentView`: its observations are vectors.
        memory: String, a registered memory.
        config: `PPOConfig`.
        seed: Integer, from which all initial weights are drawn.
        memory_args: Dict of the memory's own settings, or `None` for their defaults. Defaults to
            `None`.

    Returns:
        `keras_s5rl.models.ActorCritic`, built.
    """
    memory_seed, policy_seed = derive_seeds(seed, 2)
    memory_layer = make_memory(
        memory,
        memory_args,
        width=config.width,
        num_layers=config.num_layers,
        activation=config.activation,
        dtype=config.dtype_policy,
        seed=memory_seed,
    )
    return ActorCritic(
        environment.observation_space.shape[0],
        distribution_for(environment.action_space),
        memory_layer,
        encoder_sizes=config.encoder_sizes,
        head_sizes=config.head_sizes,
        activation=config.activation,
        initial_log_std=config.initial_log_std,
        min_log_std=config.min_log_std,
        seed=policy_seed,
        normalized_features=_numbers(environment) if config.normalize_observations else (),
        dtype=config.dtype_policy,
        name="policy",
    )


def _numbers(environment: AgentView) -> list[int]:
    """The features that are numbers of the environment's observation: no one-hots, flags, actions
    before, and no pixels, which encoders scale."""
    observation_space = environment.env.observation_space
    return [
        feature
        for leaf in leaves(observation_space)
        if leaf.is_box and leaf.space.dtype != "uint8"
        for feature in range(leaf.flat_start, leaf.flat_stop)
    ]
