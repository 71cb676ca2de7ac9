"""The policy that a configuration describes."""

from typing import Any

from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.models import ActorCritic, distribution_for, make_encoder, make_memory
from keras_s5rl.models.image_encoder import image_layout
from keras_s5rl.models.ssm_variables import ssm_variables
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.host_memory import memory_errors_named
from keras_s5rl.ppo.optimizer import check_ssm_learning_rate
from keras_s5rl.space_leaves import leaves

_SIZES = ("width", "num_layers", "encoder_sizes", "head_sizes")  # what its size depends on


def make_policy(
    environment: AgentView,
    memory: str,
    config: PPOConfig,
    seed: int,
    memory_args: dict[str, Any] | None = None,
    encoder: Any = "dense",
) -> ActorCritic:
    """Returns a new policy for an environment.

    Args:
        environment: `keras_s5rl.envs.AgentView`: its observations are vectors.
        memory: String, a registered memory.
        config: `PPOConfig`.
        seed: Integer, from which all initial weights are drawn.
        memory_args: Dict of the memory's own settings, or `None` for their defaults. Defaults to
            `None`.
        encoder: String, a registered encoder, or a Keras layer, see
            `keras_s5rl.models.make_encoder`. Defaults to `"dense"`.

    Returns:
        `keras_s5rl.models.ActorCritic`, built.

    Raises:
        ValueError: If an argument is not known or does not fit the environment, or if there is too
            little memory for it.
    """
    memory_seed, policy_seed, encoder_seed = derive_seeds(seed, 3)
    shared: dict[str, Any] = {
        "width": config.width,
        "activation": config.activation,
        "dtype": config.dtype_policy,
    }
    sizes = {name: getattr(config, name) for name in _SIZES}
    with memory_errors_named({**sizes, "memory_args": memory_args}):
        policy = ActorCritic(
            environment.observation_space.shape[0],
            distribution_for(environment.action_space),
            make_memory(
                memory, memory_args, num_layers=config.num_layers, seed=memory_seed, **shared
            ),
            encoder_sizes=config.encoder_sizes,
            head_sizes=config.head_sizes,
            activation=config.activation,
            initial_log_std=config.initial_log_std,
            min_log_std=config.min_log_std,
            seed=policy_seed,
            normalized_features=_numbers(environment) if config.normalize_observations else (),
            action_mask=environment.action_mask,
            encoder=make_encoder(encoder, environment.entries, seed=encoder_seed, **shared),
            dtype=config.dtype_policy,
            name="policy",
        )
    check_ssm_learning_rate(config, ssm_variables(policy))
    return policy


def default_encoder(environment: AgentView) -> str:
    """Returns the name of the encoder where none is given: `"entries"` for observations with an
    image or with several boxes, a mask of actions not counted, else `"dense"`."""
    boxes = [
        leaf.space.shape
        for leaf in leaves(environment.env.observation_space)
        if leaf.is_box and leaf.path[:1] != ("action_mask",)
    ]
    has_image = any(image_layout(shape) is not None for shape in boxes)
    return "entries" if has_image or len(boxes) > 1 else "dense"


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
