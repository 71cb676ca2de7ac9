"""Batched environments in `keras.ops`: pure functions of recorded draws.

Names are looked up when they are first used (PEP 562): the names of the environments in `registry`
can be read without importing Keras.
"""

from typing import TYPE_CHECKING

from keras_s5rl import lazy

__all__ = [
    "AgentView",
    "AutoReset",
    "Environment",
    "GymnaxEnvironment",
    "check_environment",
    "make",
    "register_env",
    "registered_envs",
]

if TYPE_CHECKING:
    from keras_s5rl.envs.agent_view import AgentView
    from keras_s5rl.envs.autoreset import AutoReset
    from keras_s5rl.envs.environment import Environment
    from keras_s5rl.envs.environment_check import check_environment
    from keras_s5rl.envs.gymnax import GymnaxEnvironment
    from keras_s5rl.envs.registry import make, register_env, registered_envs
else:
    __getattr__, __dir__ = lazy.attach(
        __name__,
        {
            "agent_view": "AgentView",
            "autoreset": "AutoReset",
            "environment": "Environment",
            "environment_check": "check_environment",
            "gymnax": "GymnaxEnvironment",
            "registry": "make register_env registered_envs",
        },
    )
