"""Runs as the commands open them: checked settings, and metrics with a warning of damage."""

from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli.command import UsageError
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import Checkpoints, RunDirectory, console, find_damage, read_metrics


def define_run_dirs_flag(values: FlagValues) -> None:
    flags.DEFINE_multi_string(
        "run_dir",
        [],
        "folder of a run; may be given several times, or without the name of the flag: runs/*",
        flag_values=values,
    )


def check_run_dirs(values: FlagValues) -> None:
    """Raises a UsageError unless the flag names a folder."""
    if not values.run_dir:
        raise UsageError("`run_dir` should name the folders of runs. Received: run_dir=[]")


def open_run(path: str, accept_edited_config: bool) -> tuple[RunDirectory, dict[str, Any]]:
    """Returns a run and its settings.

    Raises:
        ValueError: If there is no run, its config.json was edited and that is not accepted, or a
            setting is not what it should be.
    """
    run = RunDirectory.open(path)
    config = run.read_config(accept_edited_config)
    PPOConfig.from_settings(config)
    return run, config


def read_run_metrics(run: RunDirectory) -> dict[str, Any]:
    """Returns the columns of metrics.jsonl; warns where they are not those of the training."""
    written = Checkpoints(run.checkpoints_dir).newest_metadata() or {}
    size, sha256 = written.get("metrics_size"), written.get("metrics_sha256")
    if isinstance(size, int) and isinstance(sha256, str):
        damage = find_damage(run.metrics_path, size, sha256)
        if damage is not None:
            console.write(f"warning: {run.metrics_path} {damage} since training wrote it")
    return read_metrics(run.metrics_path)
