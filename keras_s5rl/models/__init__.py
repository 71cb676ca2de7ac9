"""Recurrent policies: actor-critic, action distributions, memories and their settings.

Importing it imports no Keras: names are looked up when they are first used.
"""

from typing import TYPE_CHECKING

from keras_s5rl import lazy

__all__ = [
    "ActorCritic",
    "Categorical",
    "DiagonalGaussian",
    "EntriesEncoder",
    "FeedForward",
    "JointDistribution",
    "MultiCategorical",
    "Policy",
    "RunningNormalization",
    "check_encoder",
    "check_memory",
    "distribution_for",
    "load_policy",
    "make_encoder",
    "make_memory",
    "memory_settings",
    "register_encoder",
    "register_memory",
    "registered_encoders",
    "registered_memories",
    "resolve_memory_args",
    "settings",
]

if TYPE_CHECKING:
    from keras_s5rl.models import settings
    from keras_s5rl.models.actor_critic import ActorCritic
    from keras_s5rl.models.distributions import (
        Categorical,
        DiagonalGaussian,
        JointDistribution,
        MultiCategorical,
        distribution_for,
    )
    from keras_s5rl.models.encoders import (
        check_encoder,
        make_encoder,
        register_encoder,
        registered_encoders,
    )
    from keras_s5rl.models.entries_encoder import EntriesEncoder
    from keras_s5rl.models.feed_forward import FeedForward
    from keras_s5rl.models.memories import (
        check_memory,
        make_memory,
        memory_settings,
        register_memory,
        registered_memories,
        resolve_memory_args,
    )
    from keras_s5rl.models.policy import Policy
    from keras_s5rl.models.running_normalization import RunningNormalization
    from keras_s5rl.models.saved_policy import load_policy
else:
    __getattr__, __dir__ = lazy.attach(
        __name__,
        {
            "actor_critic": "ActorCritic",
            "distributions": (
                "Categorical DiagonalGaussian JointDistribution MultiCategorical distribution_for"
            ),
            "encoders": "check_encoder make_encoder register_encoder registered_encoders",
            "entries_encoder": "EntriesEncoder",
            "feed_forward": "FeedForward",
            "memories": (
                "check_memory make_memory memory_settings register_memory registered_memories "
                "resolve_memory_args"
            ),
            "policy": "Policy",
            "running_normalization": "RunningNormalization",
            "saved_policy": "load_policy",
        },
        submodules=["settings"],
    )
