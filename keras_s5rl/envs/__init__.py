"""Batched environments in `keras.ops`: pure functions of recorded draws."""

from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.autoreset import AutoReset
from keras_s5rl.envs.environment import Environment
from keras_s5rl.envs.registry import make, register_env, registered_envs

__all__ = ["AgentView", "AutoReset", "Environment", "make", "register_env", "registered_envs"]
