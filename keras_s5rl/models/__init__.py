"""Recurrent policies: actor-critic, action distributions, memories and their settings.

Importing it imports no Keras: names are looked up when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_s5rl.models import settings
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
        memory_settings,
        register_memory,
        registered_memories,
        resolve_memory_args,
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
    "memory_settings",
    "register_memory",
    "registered_memories",
    "resolve_memory_args",
    "settings",
]

_MODULES = {
    "ActorCritic": "actor_critic",
    "Categorical": "distributions",
    "DiagonalGaussian": "distributions",
    "FeedForward": "feed_forward",
    "MultiCategorical": "distributions",
    "check_memory": "memories",
    "distribution_for": "distributions",
    "load_policy": "actor_critic",
    "make_memory": "memories",
    "memory_settings": "memories",
    "register_memory": "memories",
    "registered_memories": "memories",
    "resolve_memory_args": "memories",
}


def __getattr__(name: str) -> Any:
    if name == "settings":
        return importlib.import_module(f"{__name__}.settings")
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
