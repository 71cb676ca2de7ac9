"""The policy that a configuration describes."""

from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.models import ActorCritic, distribution_for, make_memory

MEMORY_SETTINGS = (
    "width",
    "state_size",
    "num_layers",
    "norm",
    "activation",
    "block_activation",
    "clip_eigenvalues",
    "dt_min",
    "dt_max",
    "context_length",
    "num_heads",
)


def make_policy(environment, memory, config, seed):
    """Returns a new policy for an environment.

    Args:
        environment: `keras_s5rl.envs.AgentView`: its observations are vectors.
        memory: String, a registered memory.
        config: `PPOConfig`.
        seed: Integer, from which all initial weights are drawn.

    Returns:
        `keras_s5rl.models.ActorCritic`, built.
    """
    memory_seed, policy_seed = derive_seeds(seed, 2)
    settings = {name: getattr(config, name) for name in MEMORY_SETTINGS}
    return ActorCritic(
        environment.observation_space.shape[0],
        distribution_for(environment.action_space),
        make_memory(memory, seed=memory_seed, dtype=config.dtype_policy, **settings),
        encoder_sizes=config.encoder_sizes,
        head_sizes=config.head_sizes,
        activation=config.activation,
        initial_log_std=config.initial_log_std,
        min_log_std=config.min_log_std,
        seed=policy_seed,
        dtype=config.dtype_policy,
        name="policy",
    )
