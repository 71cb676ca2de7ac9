"""One trial of a sweep: a training in a process of its own, watched while it runs."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_s5rl.cli.run_scores import RETURN, default_metric, read_scores
from keras_s5rl.cli.sweep_study import PRUNING_POINTS, SweepStudy
from keras_s5rl.runs import RunDirectory, RunError, read_metrics

_TRAIN = "import sys; from keras_s5rl.cli.train import main; sys.exit(main())"
_POLL = 0.5  # seconds
# How a training ends that was asked to stop: by itself, or before it could see to that.
_STOPPED = tuple(s for n in (signal.SIGINT, signal.SIGTERM) for s in (128 + n, -n))


def run_trial(study: SweepStudy, trial: Any, lock: int, flags: Sequence[str], metric: str) -> None:
    """Trains a trial, or goes on with its training, and writes down how it ended.

    Args:
        study: `SweepStudy`.
        trial: `optuna.trial.Trial`.
        lock: Descriptor of its lock, which the training inherits.
        flags: List of strings, flags of train that all trials share.
        metric: String, what is maximised, as of `read_scores`.

    Raises:
        SystemExit: If somebody else stopped the training, such as a scheduler that stops all of a
            job. The trial has not ended then: the next worker goes on with it.
    """
    run = RunDirectory(study.run_dir(trial.number))
    run.path.mkdir(exist_ok=True)
    arguments = [*flags, *(f"--{param.name}={param.suggest(trial)}" for param in study.params)]
    arguments.append(f"--run_dir={run.path}")
    if run.config_path.exists():
        arguments.append("--resume")
    log_path = run.path / "train.log"
    with open(log_path, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _TRAIN, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is for the worker, which stops the training once
        )
        try:
            pruned = _watch(process, run, trial, RETURN if metric == "evaluation" else metric)
        finally:
            if process.poll() is None:
                process.terminate()  # it writes a checkpoint
            process.wait()
    if pruned:
        study.finish(trial, None)
    elif process.returncode in _STOPPED:
        raise SystemExit(128 + abs(process.returncode) % 128)
    elif process.returncode:
        study.finish(trial, None, _reason(log_path, process.returncode))
    else:
        try:
            study.finish(trial, _score(run, metric))
        except (RunError, ValueError) as error:
            study.finish(trial, None, str(error))


def _watch(process: Any, run: RunDirectory, trial: Any, metric: str) -> bool:
    """Reports how the training goes until it ends; returns whether it was pruned."""
    reported = len(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
    while process.poll() is None:
        time.sleep(_POLL)
        for point, value in _progress(run, metric)[reported:]:
            trial.report(value, point)
            reported += 1
            if trial.should_prune():
                return True
    return False


def _progress(run: RunDirectory, metric: str) -> list[tuple[int, float]]:
    """What a metric was at the points of the training at which trials are compared."""
    try:
        metrics = read_metrics(run.metrics_path)
        total_steps = run.read_config()["total_steps"]
    except RunError:  # nothing is written yet
        return []
    values = np.asarray(metrics.get(metric, []), np.float64)
    known = np.isfinite(values)
    if not known.any():
        return []
    steps, values = np.asarray(metrics["env_steps"])[known], values[known]
    places = [
        (point, int(np.searchsorted(steps, point * total_steps / PRUNING_POINTS)))
        for point in range(1, PRUNING_POINTS)
    ]
    return [(point, float(values[place])) for point, place in places if place < len(steps)]


def _score(run: RunDirectory, metric: str) -> float:
    if metric == "evaluation":
        assert default_metric([run]) == metric, "a training ends with an evaluation"
    (scored,) = read_scores([run], [run.read_config()], ["trial"], ["trial"], metric)
    return float(np.mean(scored.scores))


def _reason(log_path: Path, status: int) -> str:
    """The error that train wrote, or else its last line, which may be a traceback's."""
    lines = log_path.read_text(errors="replace").split("\n")
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    return ": ".join([f"exit status {status}", *[line for line in lines if line.strip()][-1:]])
