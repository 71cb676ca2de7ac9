"""Small trainings that the tests of training and of the commands share."""

import dataclasses
import json
from pathlib import Path

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.run_settings import EVALUATION_SETTINGS
from keras_s5rl.runs import Checkpoints

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "num_envs": 8,
    "num_steps": 16,
    "width": 16,
    "num_layers": 1,
    "encoder_sizes": (16,),
    "head_sizes": (16,),
}
STEPS = SIZES["num_envs"] * SIZES["num_steps"]  # environment steps of an update
METRICS = [
    *("update", "env_steps", "wall_time_s", "steps_per_s"),
    *("episode_return_mean", "episode_length_mean", "episodes", "mmer"),
    *("approx_kl", "clip_fraction", "entropy", "explained_variance", "gradient_norm"),
    *("loss", "policy_loss", "value_loss"),
]
EVALUATION_METRICS = ["eval_return_mean", "eval_return_std", "eval_length_mean"]
NO_EVALUATION = {name: setting.default for name, setting in EVALUATION_SETTINGS.items()}
FLAGS = [
    f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
    for name, value in SIZES.items()
]


def small_config(**settings):
    return PPOConfig(**SIZES | settings)


def run_settings(**settings):
    """The settings of a recorded run, as its config.json holds them."""
    return {
        **{"env": "RepeatPreviousEasy", "env_args": {}, "memory": "mlp", "memory_args": {}},
        **{"encoder": "dense", "backend": "jax", "seed": 0, "num_seeds": 1},
        **{"total_steps": 256, "checkpoint_every": 1, "log_every": 1},
        **NO_EVALUATION,
        **dataclasses.asdict(small_config()),
        **settings,
    }


def metrics_of(run_dir):
    """The lines of metrics.jsonl without the times, which no two runs share."""
    rows = [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]
    return [without_times(row) for row in rows]


def without_times(metrics):
    return {n: value for n, value in metrics.items() if n not in ("wall_time_s", "steps_per_s")}


def newest_arrays(run_dir):
    """Update and arrays of the newest checkpoint, as bytes: equal means bit for bit."""
    update, arrays, _, _ = Checkpoints(Path(run_dir) / "checkpoints").load_newest()
    return update, as_bytes(arrays)


def as_bytes(arrays):
    return {name: (array.dtype.name, array.tobytes()) for name, array in arrays.items()}


def train_flags(folder, num_updates=60):
    schedule = [f"--total_steps={num_updates * STEPS}", "--checkpoint_every=7", "--log_every=20"]
    return [*FLAGS, *schedule, "--env=RepeatPreviousEasy", f"--run_dir={folder}"]
