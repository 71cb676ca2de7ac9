"""The folder of one training run: where everything in it lies, and its config.json."""

import os
from pathlib import Path

from keras_s5rl.runs.files import RunError, read_json, sync_folder, write_json_atomically

FORMAT_VERSION = 1


class RunDirectory:
    """What one training run leaves on disk.

        config.json          every setting, versions, backend, device, seed
        metrics.jsonl        one line per update
        tensorboard/         the same numbers as TensorBoard event files
        checkpoints/         the newest states of the training, to resume from
        policy.keras         the trained policy (policies/seed_<seed>.keras for several seeds)
        learning_curve.png   return over environment steps
        evaluation.json      the scores of the trained policy
        in_context.json      its scores trial by trial and step by step, and in_context.png of them

    The constructor only names the paths; use `create` for a new run and `open` for one that exists.

    Args:
        path: the folder, as a string or a path.

    Example:

    >>> import tempfile
    >>> run = RunDirectory.create(Path(tempfile.mkdtemp()) / "demo", {"env": "RepeatFirstEasy"})
    >>> RunDirectory.open(run.path).read_config()
    {'env': 'RepeatFirstEasy'}
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def __repr__(self):
        return f"RunDirectory({str(self.path)!r})"

    @classmethod
    def create(cls, path: str | os.PathLike, config: dict) -> "RunDirectory":
        """Makes the folder (and its parents) and writes config.json, before anything else.

        A folder that exists is taken when it holds nothing a run writes: other files in it, such
        as the log a job scheduler has already opened there, are left alone.

        Args:
            path: the folder of the new run.
            config: the settings; `format_version` is added in the file.

        Raises:
            RunError: when the folder holds a run or parts of one, or is a file.
        """
        run = cls(path)
        if run.path.exists() and not run.path.is_dir():
            raise RunError(
                f"`run_dir` must be a folder, and this is a file. Received: run_dir={str(path)!r}"
            )
        if run.config_path.exists():
            raise RunError(
                "`run_dir` already holds a run. Resume that one (`--resume`, `resume=True`) or "
                f"choose another folder. Received: run_dir={str(path)!r}"
            )
        left_over = [part.name for part in run._parts() if part.exists()]
        if left_over:
            raise RunError(
                f"`run_dir` has no config.json but holds parts of a run ({', '.join(left_over)}). "
                f"Move them away or choose another folder. Received: run_dir={str(path)!r}"
            )
        run.path.mkdir(parents=True, exist_ok=True)
        sync_folder(run.path.resolve().parent)
        run.write_config(config)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunDirectory":
        """Returns the run in the folder `path`.

        Raises:
            RunError: when there is no config.json in it.
        """
        run = cls(path)
        if not run.config_path.is_file():
            raise RunError(
                "`run_dir` is no run: it has no config.json. Name the folder of a run that was "
                f"started, or start one there. Received: run_dir={str(path)!r}"
            )
        return run

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def tensorboard_dir(self) -> Path:
        return self.path / "tensorboard"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def policy_path(self) -> Path:
        return self.path / "policy.keras"

    def seed_policy_path(self, seed: int) -> Path:
        """Where the policy of one seed lies in a run that trains several."""
        return self.path / "policies" / f"seed_{seed}.keras"

    @property
    def learning_curve_path(self) -> Path:
        return self.path / "learning_curve.png"

    @property
    def evaluation_path(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def in_context_path(self) -> Path:
        return self.path / "in_context.json"

    @property
    def in_context_plot_path(self) -> Path:
        return self.path / "in_context.png"

    def read_config(self) -> dict:
        """Returns the settings that `create` was given, as JSON holds them (tuples are lists).

        Raises:
            RunError: when config.json is missing, cut short, or of a format this version cannot
                read.
        """
        config = read_json(self.config_path)
        version = config.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise RunError(
                f"config.json must have `format_version` {FORMAT_VERSION}. Read this run with the "
                f"version of keras_s5rl that wrote it. Received: format_version={version!r} in "
                f"{str(self.config_path)!r}"
            )
        return config

    def write_config(self, config: dict) -> None:
        """Writes config.json anew, whole or not at all, with the `format_version` added."""
        if "format_version" in config:
            raise RunError(
                "`config` must not name `format_version`: it is added here. "
                f"Received: config['format_version']={config['format_version']!r}"
            )
        write_json_atomically(self.config_path, {"format_version": FORMAT_VERSION, **config})

    def write_evaluation(self, evaluation: dict) -> None:
        """Writes evaluation.json, whole or not at all."""
        write_json_atomically(self.evaluation_path, evaluation)

    def _parts(self):
        return (
            self.metrics_path,
            self.tensorboard_dir,
            self.checkpoints_dir,
            self.policy_path,
            self.seed_policy_path(0).parent,
            self.learning_curve_path,
            self.evaluation_path,
            self.in_context_path,
            self.in_context_plot_path,
        )
