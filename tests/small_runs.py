"""Small trainings that the tests of training and of the commands share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import Checkpoints

ROOT = Path(__file__).resolve().parents[1]
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
FLAGS = [
    f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
    for name, value in SIZES.items()
]


def small_config(**settings):
    return PPOConfig(**SIZES | settings)


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


@pytest.fixture(scope="session")
def start():
    """Starts a command in a process of its own: `start("train", "--seed=1", ...)`. A variable of
    its `environment` that is None is not set there, nor are the devices of the tests."""

    def start_process(command, *arguments, **options):
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": None}
        environment |= options.pop("environment", {})
        environment = {name: value for name, value in environment.items() if value is not None}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        program = [sys.executable, str(ROOT / "launch" / f"{command}.py"), *arguments]
        return subprocess.Popen(program, env=environment, **options)

    return start_process


@pytest.fixture(scope="session")
def run(start):
    """Runs a command to its end; returns `(exit status, stdout, stderr)`."""

    def run_process(command, *arguments, **options):
        with start(command, *arguments, **options) as process:
            stdout, stderr = process.communicate()
        return process.returncode, stdout, stderr

    return run_process
