"""Structured state-space models for in-context reinforcement learning, in Keras 3.

Importing the package imports no Keras: names are looked up when they are first used (PEP 562), so
that `KERAS_BACKEND` can still be set after `import keras_s5rl`. It makes the environments known to
Gymnasium, by entry points that are imported when one is made.
"""

from typing import TYPE_CHECKING

from keras_s5rl import lazy
from keras_s5rl.envs.registry import register_ids
from keras_s5rl.serializable import register_with_keras

__version__ = "0.1.0"

__all__ = [
    "PPO",
    "PPOConfig",
    "Player",
    "__version__",
    "backend",
    "cli",
    "envs",
    "layers",
    "load_policy",
    "models",
    "ops",
    "ppo",
    "random",
    "runs",
    "training",
]

if TYPE_CHECKING:
    from keras_s5rl import backend, cli, envs, layers, models, ops, ppo, random, runs, training
    from keras_s5rl.models.saved_policy import load_policy
    from keras_s5rl.ppo.config import PPOConfig
    from keras_s5rl.training.player import Player
    from keras_s5rl.training.ppo import PPO
else:
    __getattr__, __dir__ = lazy.attach(
        __name__,
        {
            "models.saved_policy": "load_policy",
            "ppo.config": "PPOConfig",
            "training.player": "Player",
            "training.ppo": "PPO",
        },
        submodules=[
            "backend",
            "cli",
            "envs",
            "layers",
            "models",
            "ops",
            "ppo",
            "random",
            "runs",
            "training",
        ],
    )

register_ids()
register_with_keras()
