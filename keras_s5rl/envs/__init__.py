"""Batched environments in `keras.ops`: pure functions of recorded draws.

Names are looked up when they are first used (PEP 562): the names of the environments in `registry`
can be read without importing Keras.
"""

import importlib

_ATTRIBUTES = {
    "AgentView": "keras_s5rl.envs.agent_view",
    "AutoReset": "keras_s5rl.envs.autoreset",
    "Environment": "keras_s5rl.envs.environment",
    "check_environment": "keras_s5rl.envs.environment_check",
    "make": "keras_s5rl.envs.registry",
    "register_env": "keras_s5rl.envs.registry",
    "registered_envs": "keras_s5rl.envs.registry",
}

__all__ = sorted(_ATTRIBUTES)


def __getattr__(name):
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
