"""Structured state-space models for in-context reinforcement learning, in Keras 3.

Importing the package imports no Keras: names are looked up when they are first used (PEP 562), so
that `KERAS_BACKEND` can still be set after `import keras_s5rl`. It makes the environments known to
Gymnasium, by entry points that are imported when one is made.
"""

import importlib

import gymnasium

from keras_s5rl.envs.registry import registered_envs
from keras_s5rl.serializable import register_with_keras

__version__ = "0.1.0"

_ATTRIBUTES = {
    "PPO": "keras_s5rl.training.ppo",
    "PPOConfig": "keras_s5rl.ppo.config",
    "load_policy": "keras_s5rl.models.actor_critic",
}
_SUBMODULES = {
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
}

__all__ = sorted(["__version__", *_ATTRIBUTES, *_SUBMODULES])

for _env in registered_envs():
    gymnasium.register(
        f"keras_s5rl/{_env}-v0",
        entry_point="keras_s5rl.envs.gymnasium.env:GymnasiumEnv",
        vector_entry_point="keras_s5rl.envs.gymnasium.vector_env:GymnasiumVectorEnv",
        kwargs={"env": _env},
    )


register_with_keras()


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
