"""sb3-contrib's RecurrentPPO, measured through its public interface.

Imported only where it is measured.
"""

import statistics
import time
import warnings

import gymnasium
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.process_readings import peak_memory_gib, seconds_since_process_start
from benchmarks.timing import rates
from keras_s5rl.ppo.config import PPOConfig

_ENV = "popgym-RepeatPreviousEasy-v0"


class _Clock(BaseCallback):
    """Notes when each update ends: an update is a rollout and the epochs over it."""

    def __init__(self):
        super().__init__()
        self.times = []
        self.start_to_first_update_s = None

    def _on_rollout_start(self):
        self.times.append(time.perf_counter())
        if len(self.times) == 2:
            self.start_to_first_update_s = seconds_since_process_start()

    def _on_training_end(self):
        self.times.append(time.perf_counter())

    def _on_step(self):
        return True


def measure_training(memory, config, memory_args, repeats):
    """Measures RecurrentPPO on popgym's RepeatPreviousEasy.

    Args:
        memory: String, `lstm`.
        config: Dict, arguments of the package's `PPOConfig`; RecurrentPPO gets the same sizes, but
            one layer: its LSTM has `width` units and no more than one layer by default.
        memory_args: Dict, of which an LSTM takes nothing.
        repeats: Positive integer, updates timed after the first two.

    Returns:
        Dict of results, as the suite `ppo` has them.
    """
    config = PPOConfig(**config)
    steps = config.steps_per_update
    agent = make_agent(_make_env, config)
    clock = _Clock()
    agent.learn(steps * (2 + repeats), callback=clock)
    first, _, *seconds = [
        end - start for start, end in zip(clock.times, clock.times[1:], strict=False)
    ]
    return {
        "parameters": sum(weight.numel() for weight in agent.policy.parameters()),
        "compile_s": first - statistics.median(seconds),
        "start_to_first_update_s": clock.start_to_first_update_s,
        **rates("steps_per_s", [steps / each for each in seconds]),
        "peak_memory_gib": peak_memory_gib(),
        "settings": {"env": _ENV, "memory": memory},
    }


def make_agent(make_env, config, **policy_arguments):
    """Returns a RecurrentPPO with the sizes of a `PPOConfig` and an LSTM of `width` units.

    Args:
        make_env: Function that returns a new `gymnasium.Env`.
        config: `PPOConfig`.
        **policy_arguments: Further `policy_kwargs`.
    """
    heads = list(config.head_sizes)
    sizes = {"lstm_hidden_size": config.width, "net_arch": {"pi": heads, "vf": heads}}
    return RecurrentPPO(
        "MlpLstmPolicy",
        DummyVecEnv([make_env] * config.num_envs),
        n_steps=config.num_steps,
        batch_size=config.steps_per_update // config.num_minibatches,
        n_epochs=config.num_epochs,
        policy_kwargs={**sizes, **policy_arguments},
        seed=0,
    )


def _make_env():
    """What popgym's own baselines see: the observation, the last action and a first-step flag."""
    from popgym import wrappers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # popgym on its own labyrinths
        env = gymnasium.make(f"popgym:{_ENV}", disable_env_checker=True)
    return wrappers.Flatten(wrappers.Antialias(wrappers.PreviousAction(env)))
