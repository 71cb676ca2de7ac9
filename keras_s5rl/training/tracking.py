"""`Tracking`: a training in Weights & Biases or MLflow, where people keep their runs."""

import math
from collections.abc import Sequence
from typing import Any, Self

import keras

from keras_s5rl.runs import RunDirectory, console, read_json, write_json_atomically
from keras_s5rl.typing import StrPath


class TrackingError(RuntimeError):
    """A tracked run that could not be started."""


class _Wandb:
    """A run of Weights & Biases. `WandbMetricsLogger` imports TensorFlow, on every backend, to log
    no more than this does."""

    def start(self, tracked_id: str | None, run: RunDirectory, config: dict[str, Any]) -> str:
        import wandb

        self._run = wandb.init(
            id=tracked_id,
            resume="allow",
            name=_name(run),
            config=config,
            allow_val_change=True,  # a resumed run may have other settings
            dir=run.path,
        )
        self._run.define_metric("*", step_metric="env_steps")
        return str(self._run.id)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        def log(epoch: int, logs: dict[str, Any]) -> None:
            self._run.log({name: value for name, value in logs.items() if math.isfinite(value)})

        return [keras.callbacks.LambdaCallback(on_epoch_end=log)]

    def log_scores(self, scores: dict[str, float]) -> None:
        self._run.summary.update(scores)

    def end(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _Mlflow:
    """A run of MLflow, with its own Keras callback."""

    def start(self, tracked_id: str | None, run: RunDirectory, config: dict[str, Any]) -> str:
        import mlflow

        # Parameters of MLflow never change; what a resumed run has is in the artifact.
        if tracked_id is None:
            tracked_id = mlflow.start_run(run_name=_name(run)).info.run_id
            mlflow.log_params(config)
        else:
            mlflow.start_run(run_id=tracked_id)
        mlflow.log_dict(config, "config.json")
        return str(tracked_id)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        import mlflow.keras

        return [mlflow.keras.MlflowCallback()]

    def log_scores(self, scores: dict[str, float]) -> None:
        import mlflow

        mlflow.log_metrics(scores)

    def end(self, failed: bool) -> None:
        import mlflow

        mlflow.end_run("FAILED" if failed else "FINISHED")


_LIBRARIES: dict[str, Any] = {"wandb": _Wandb, "mlflow": _Mlflow}


class Tracking:
    """Keeps a training in Weights & Biases or MLflow, as a context manager around it.

    The tracked run has the name of the run directory, and its config.json as settings. It begins
    with the training, once the run directory is there, and is finished or failed afterwards. Its id
    is in `tracking.json` of the run directory: a training that goes on there goes on with it.

    Args:
        names: List of `"wandb"` and `"mlflow"`, libraries that are installed. Where they keep their
            runs is their own to say, by variables such as `WANDB_PROJECT` or `MLFLOW_TRACKING_URI`.
        run_dir: The run directory, which need not exist yet.

    Attributes:
        callbacks: List of Keras callbacks for the training. They raise a `TrackingError` where a
            tracked run cannot be started.

    Example:

    >>> from keras_s5rl.training.tracking import Tracking
    >>> with Tracking(["wandb"], "runs/demo") as tracking:  # doctest: +SKIP
    ...     agent.fit(total_steps=100_000, run_dir="runs/demo", callbacks=tracking.callbacks)
    ...     tracking.log_scores(agent.evaluate())
    """

    def __init__(self, names: Sequence[str], run_dir: StrPath) -> None:
        self._run = RunDirectory(run_dir)
        self._libraries = {name: _LIBRARIES[name]() for name in names}
        self._started: dict[str, Any] = {}
        self.callbacks: list[keras.callbacks.Callback] = []
        if names:
            start = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: self._start())
            own = [library.callbacks() for library in self._libraries.values()]
            self.callbacks = [start, *(callback for callbacks in own for callback in callbacks)]

    def log_scores(self, report: dict[str, Any]) -> None:
        """Adds the scores of an evaluation, as of `PPO.evaluate`."""
        names = ("return_mean", "return_ci95", "length_mean")
        scores = {f"evaluation_{name}": report[name] for name in names}
        for name, library in self._started.items():
            _warn_on_failure(name, library.log_scores, scores)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        for name, library in self._started.items():
            _warn_on_failure(name, library.end, kind is not None)
        self._started = {}

    def _start(self) -> None:
        path = self._run.tracking_path
        ids = read_json(path) if path.exists() else {}
        config = self._run.read_config(accept_edited=True)
        for name, library in self._libraries.items():
            try:
                ids[name] = library.start(ids.get(name), self._run, config)
            except Exception as error:  # each library has its own
                raise TrackingError(
                    f"`{name}` could not start its run ({str(error).rstrip('. ')}). Mend that, "
                    f"then go on with --resume; or without it, with --no{name}. "
                    f"Received: {name}=True"
                ) from error
            self._started[name] = library
            write_json_atomically(path, ids)


def _name(run: RunDirectory) -> str:
    return run.path.resolve().name


def _warn_on_failure(name: str, function: Any, argument: Any) -> None:
    """A library that fails, such as without a network, takes nothing with it."""
    try:
        function(argument)
    except Exception as error:
        console.write(f"warning: {name} does not have all of the run ({error})")
