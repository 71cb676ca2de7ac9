"""The checkpoints of a run as a training takes them up: the newest that is whole and fits."""

import math
from collections.abc import Callable
from typing import Any

from keras_s5rl.runs import Checkpoints, RunDirectory, RunError, console
from keras_s5rl.training.overrides import apply_overrides, recorded_overrides


def newest_state(
    run: RunDirectory, config: dict[str, Any], required: bool = False, below: float = math.inf
) -> Any:
    """Returns the newest readable checkpoint of a run as a dict: `update`, `arrays`, and what else
    was written down with it.

    Args:
        run: `keras_s5rl.runs.RunDirectory`.
        config: Dict, its config.json.
        required: Whether there must be one. Defaults to `False`: of a run that was stopped before
            its first one `None` is returned.
        below: Only checkpoints of earlier updates count. Defaults to infinity.

    Raises:
        RunError: If none can be read, or the run has trained and its checkpoints are gone.
    """
    checkpoints = Checkpoints(run.checkpoints_dir)
    if not checkpoints.steps() and not required:
        _check_untrained(run)
        return None
    while True:
        update, arrays, metadata, skipped = checkpoints.load_newest(below)
        for name, reason in skipped:
            _warn(name, reason, f"update {update}")
        below = update
        try:
            state = {"overrides": 0, **metadata, "update": update, "arrays": arrays}
            _check_metadata(state, len(recorded_overrides(config)))
            return apply_overrides(state, config)
        except RunError as error:
            misfit = error
        _warn_or_raise(checkpoints, update, misfit)


def restore_newest(
    run: RunDirectory,
    config: dict[str, Any],
    state: dict[str, Any],
    restore: Callable[[dict[str, Any]], Any],
) -> Any:
    """Calls `restore(state)`, or with the next older checkpoint where one does not fit.

    Returns:
        The state that was restored.

    Raises:
        RunError: If none fits.
    """
    while True:
        try:
            restore(state)
            return state
        except RunError as error:
            reason = error
        _warn_or_raise(Checkpoints(run.checkpoints_dir), state["update"], reason)
        state = newest_state(run, config, required=True, below=state["update"])


def _warn_or_raise(checkpoints: Checkpoints, update: int, reason: object) -> None:
    """Says that a checkpoint does not fit, if there is an older one to go back to."""
    if not any(step < update for step in checkpoints.steps()):
        raise RunError(
            f"No checkpoint can be used (checkpoint_{update:08d}: {reason}) and there is no older "
            "one. Start a new run in another folder. "
            f"Received: directory={str(checkpoints.directory)!r}"
        ) from None
    _warn(f"checkpoint_{update:08d}", reason, "an older one")


def _warn(name: str, reason: object, older: str) -> None:
    console.write(f"warning: {name} cannot be used ({reason}); going back to {older}")


def _check_metadata(state: dict[str, Any], num_overrides: int) -> None:
    """Raises a RunError unless what was written down with a checkpoint is of the right types."""
    wrong = [name for name, check in _METADATA.items() if not check(state.get(name))]
    if wrong:
        name = wrong[0]
        raise RunError(f"its metadata are malformed: {name}={state.get(name)!r}")
    if state["overrides"] > num_overrides:
        raise RunError(
            f"it was written with {state['overrides']} overrides, config.json has {num_overrides}"
        )


def _check_untrained(run: RunDirectory) -> None:
    """Raises a RunError if a run without checkpoints has trained: they are lost."""
    trained = [path.name for path in (run.policy_path, run.evaluation_path) if path.exists()]
    if run.metrics_path.is_dir() or (
        run.metrics_path.exists() and b"\n" in run.metrics_path.read_bytes()
    ):
        trained.insert(0, run.metrics_path.name)
    if trained:
        raise RunError(
            f"`run_dir` has trained ({', '.join(trained)} say so), but its checkpoints are gone. "
            "Restore the folder checkpoints from a copy, or start a new run in another folder. "
            f"Received: run_dir={str(run.path)!r}"
        )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


_METADATA = {
    "metrics_size": _is_count,
    "metrics_sha256": lambda value: value is None or isinstance(value, str),
    "overrides": _is_count,
    "mmer": lambda value: value is None or _is_number(value),
    "wall_time_s": _is_number,
}
