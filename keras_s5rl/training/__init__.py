"""Training: the PPO agent, its evaluation, and the record it keeps."""

from keras_s5rl.training.checks import NonFiniteLossError
from keras_s5rl.training.gymnasium_evaluation import evaluate_gymnasium
from keras_s5rl.training.in_context import evaluate_in_context
from keras_s5rl.training.player import Player
from keras_s5rl.training.policy_export import export_policy
from keras_s5rl.training.ppo import PPO
from keras_s5rl.training.probing import probe_memory

__all__ = [
    "PPO",
    "NonFiniteLossError",
    "Player",
    "evaluate_gymnasium",
    "evaluate_in_context",
    "export_policy",
    "probe_memory",
]
