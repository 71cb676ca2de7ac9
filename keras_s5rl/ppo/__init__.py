"""Proximal policy optimisation for recurrent policies: the algorithm, without the loop around it.

Names are looked up when they are first used (PEP 562): `PPOConfig` needs no Keras.
"""

from typing import TYPE_CHECKING

from keras_s5rl import lazy

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
else:
    __getattr__, __dir__ = lazy.attach(
        __name__,
        {
            "advantages": "generalized_advantages",
            "config": "PPOConfig",
            "learner": "Learner",
            "losses": "approximate_kl clip_fraction explained_variance normalize normalize_groups "
            "policy_loss value_loss",
            "optimizer": "make_optimizer",
            "policy": "make_policy",
            "rollout": "collect_rollout",
        },
    )
