"""Recurrent policies: actor-critic, action distributions, and the registry of memories."""

from keras_s5rl.models.actor_critic import ActorCritic, load_policy
from keras_s5rl.models.distributions import (
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    distribution_for,
)
from keras_s5rl.models.feed_forward import FeedForward
from keras_s5rl.models.memories import (
    check_memory,
    make_memory,
    register_memory,
    registered_memories,
)

__all__ = [
    "ActorCritic",
    "Categorical",
    "DiagonalGaussian",
    "FeedForward",
    "MultiCategorical",
    "check_memory",
    "distribution_for",
    "load_policy",
    "make_memory",
    "register_memory",
    "registered_memories",
]
