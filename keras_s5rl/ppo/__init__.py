"""Proximal policy optimisation for recurrent policies: the algorithm, without the loop around it.

Names are looked up when they are first used (PEP 562): `PPOConfig` needs no Keras.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_s5rl.ppo.advantages import generalized_advantages
    from keras_s5rl.ppo.config import PPOConfig
    from keras_s5rl.ppo.learner import Learner
    from keras_s5rl.ppo.losses import (
        approximate_kl,
        clip_fraction,
        explained_variance,
        normalize,
        normalize_groups,
        policy_loss,
        value_loss,
    )
    from keras_s5rl.ppo.optimizer import make_optimizer
    from keras_s5rl.ppo.policy import make_policy
    from keras_s5rl.ppo.rollout import collect_rollout

_MODULES = {
    "Learner": "learner",
    "PPOConfig": "config",
    "approximate_kl": "losses",
    "clip_fraction": "losses",
    "collect_rollout": "rollout",
    "explained_variance": "losses",
    "generalized_advantages": "advantages",
    "make_optimizer": "optimizer",
    "make_policy": "policy",
    "normalize": "losses",
    "normalize_groups": "losses",
    "policy_loss": "losses",
    "value_loss": "losses",
}

__all__ = [
    "Learner",
    "PPOConfig",
    "approximate_kl",
    "clip_fraction",
    "collect_rollout",
    "explained_variance",
    "generalized_advantages",
    "make_optimizer",
    "make_policy",
    "normalize",
    "normalize_groups",
    "policy_loss",
    "value_loss",
]


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
