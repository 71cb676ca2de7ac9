"""The folder of one training run: where everything in it lies, its lock and its config.json."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_s5rl.runs.files import RunError, plain, read_json, sync_folder, write_json_atomically
from keras_s5rl.runs.lock import RunLock
from keras_s5rl.runs.migrations import FORMAT_VERSION, migrate
from keras_s5rl.typing import StrPath


class RunDirectory:
    """What one training run leaves on disk.

        config.json          every setting, versions, backend, device, seed; with a checksum
        metrics.jsonl        one line per update
        tensorboard/         the same numbers as TensorBoard event files
        checkpoints/         the newest states of the training, to resume from
        policy.keras         the trained policy (policies/seed_<seed>.keras for several seeds)
        best_policy.keras    the one with the best evaluation while training; scores in .json
                             (best_policies/seed_<seed> for several seeds)
        learning_curve.png   return over environment steps
        evaluation.json      the scores of the trained policy, best_evaluation.json of the best one
        in_context.json      its scores trial by trial and step by step, and in_context.png of them
        probes.json          what its memory tells of contexts, and probes.png of it

    The constructor only names the paths; use `create` for a new run and `open` for one that exists.
    A process that writes the run holds its lock, a file `.lock`: `create` takes it, `take` does for
    a run that exists, and `release` gives it back. Reading needs no lock.

    Args:
        path: the folder, as a string or a path.

    Example:

    >>> import tempfile
    >>> run = RunDirectory.create(Path(tempfile.mkdtemp()) / "demo", {"env": "RepeatFirstEasy"})
    >>> run.release()
    >>> RunDirectory.open(run.path).read_config()
    {'env': 'RepeatFirstEasy'}
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._lock: RunLock | None = None

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @classmethod
    def create(cls, path: StrPath, config: dict[str, Any]) -> "RunDirectory":
        """Makes the folder (and its parents), takes its lock and writes config.json, before
        anything else.

        A folder that exists is taken when it holds nothing a run writes: other files in it, such
        as the log a job scheduler has already opened there, are left alone. Of several processes
        that create a run in one folder at once one succeeds.

        Args:
            path: the folder of the new run.
            config: the settings; `format_version` and `checksum` are added in the file.

        Raises:
            RunError: when the folder holds a run or parts of one, is a file, is in use by another
                process, or cannot be made or written to.
        """
        run = cls(path)
        plain(config, "config")
        with run._refusing_errors("that can be made and written to"):
            if run.path.exists() and not run.path.is_dir():
                raise RunError(
                    f"`run_dir` must be a folder, and this is a file. Received: "
                    f"run_dir={str(path)!r}"
                )
            run._check_empty()
            run.path.mkdir(parents=True, exist_ok=True)
            sync_folder(run.path.resolve().parent)
            run._lock = RunLock(run.lock_path)
            try:
                run._check_empty()  # another process may have been here just before
                run.write_config(config)
            except BaseException:
                run.release()
                raise
        return run

    @classmethod
    def open(cls, path: StrPath) -> "RunDirectory":
        """Returns the run in the folder `path`.

        Raises:
            RunError: when there is no config.json in it.
        """
        run = cls(path)
        with run._refusing_errors("that can be read"):
            if not run.config_path.is_file():
                raise RunError(
                    "`run_dir` is not a run: it has no config.json. Name the folder of a run that "
                    f"was started, or start one there. Received: run_dir={str(path)!r}"
                )
        return run

    def take(self) -> None:
        """Takes the lock of a run that exists, to write it.

        Raises:
            RunError: when another process holds it, the folder cannot be written to, or a part of
                the run is a symbolic link or not a file or folder as it should be.
        """
        with self._refusing_errors("that can be written to"):
            self._lock = RunLock(self.lock_path)
            try:
                for part in (self.config_path, *self._parts()):
                    self.check_part(part)
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Gives the lock back, if this object has it."""
        if self._lock is not None:
            self._lock.release()

    def check_in_place(self) -> None:
        """Raises a WriteError when the folder is no longer the one whose lock was taken."""
        assert self._lock is not None, "`create` or `take` first"
        self._lock.check()

    def check_part(self, part: Path) -> None:
        """Raises a RunError when a part of the run cannot be written: it is a symbolic link, whose
        target would be written, a folder in the place of a file or a file in that of a folder."""
        if part.is_symlink():
            expected = "should not be a symbolic link, whose target would be written"
        elif part.is_dir() and part.suffix and part != self.metrics_path:
            expected = "should be a file, and there is a folder"
        elif part.is_file() and not part.suffix:
            expected = "should be a folder, and there is a file"
        else:
            return
        raise RunError(
            f"`{part.name}` in a run {expected}. Move that away or restore it from a copy. "
            f"Received: run_dir={str(self.path)!r}"
        )

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

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

    @property
    def best_policy_path(self) -> Path:
        return self.path / "best_policy.keras"

    @property
    def best_policy_scores_path(self) -> Path:
        return self.path / "best_policy.json"

    def seed_policy_path(self, seed: int) -> Path:
        """Where the policy of one seed lies in a run that trains several."""
        return self.path / "policies" / f"seed_{seed}.keras"

    def seed_best_policy_path(self, seed: int) -> Path:
        """Where the best policy of one seed lies in a run that trains several."""
        return self.path / "best_policies" / f"seed_{seed}.keras"

    @property
    def learning_curve_path(self) -> Path:
        return self.path / "learning_curve.png"

    @property
    def tracking_path(self) -> Path:
        return self.path / "tracking.json"

    @property
    def evaluation_path(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def best_evaluation_path(self) -> Path:
        return self.path / "best_evaluation.json"

    @property
    def in_context_path(self) -> Path:
        return self.path / "in_context.json"

    @property
    def in_context_plot_path(self) -> Path:
        return self.path / "in_context.png"

    @property
    def probes_path(self) -> Path:
        return self.path / "probes.json"

    @property
    def probes_plot_path(self) -> Path:
        return self.path / "probes.png"

    def read_config(self, accept_edited: bool = False) -> dict[str, Any]:
        """Returns the settings that `create` was given, as JSON holds them (tuples are lists);
        those of an earlier format as this one has them.

        Args:
            accept_edited: whether contents that do not match their checksum are taken as they are.
                Defaults to `False`.

        Raises:
            RunError: when config.json is missing, cut short, edited, or of a format this version
                cannot read.
        """
        config = read_json(self.config_path)
        version: Any = config.get("format_version")
        checksum = config.pop("checksum", None)
        if version not in range(1, FORMAT_VERSION + 1):
            raise RunError(
                f"config.json must have a `format_version` from 1 to {FORMAT_VERSION}. Read this "
                "run with the version of keras_s5rl that wrote it. Received: "
                f"format_version={version!r} in {str(self.config_path)!r}"
            )
        had_none = version == 1 and checksum is None
        if not (had_none or accept_edited or checksum == _checksum(config)):
            raise RunError(
                "config.json was edited or damaged: it does not match its checksum. Restore it "
                "from a copy, or take it as it is with `--accept_edited_config` "
                f"(`accept_edited_config=True`). Received: run_dir={str(self.path)!r}"
            )
        del config["format_version"]
        return migrate(config, version)

    def write_config(self, config: dict[str, Any]) -> None:
        """Writes config.json anew, whole or not at all, with `format_version` and `checksum`."""
        for name in ("format_version", "checksum"):
            if name in config:
                raise RunError(
                    f"`config` must not name `{name}`: it is added here. "
                    f"Received: config['{name}']={config[name]!r}"
                )
        contents = plain({"format_version": FORMAT_VERSION, **config}, "config")
        write_json_atomically(self.config_path, {**contents, "checksum": _checksum(contents)})

    def write_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Writes evaluation.json, whole or not at all."""
        self.check_part(self.evaluation_path)
        write_json_atomically(self.evaluation_path, evaluation)

    def _check_empty(self) -> None:
        """Raises a RunError when the folder holds a run or parts of one."""
        if os.path.lexists(self.config_path):
            raise RunError(
                "`run_dir` already holds a run. Resume that one (`--resume`, `resume=True`) or "
                f"choose another folder. Received: run_dir={str(self.path)!r}"
            )
        left_over = [part.name for part in self._parts() if os.path.lexists(part)]
        if left_over:
            raise RunError(
                f"`run_dir` has no config.json but holds parts of a run ({', '.join(left_over)}). "
                f"Move them away or choose another folder. Received: run_dir={str(self.path)!r}"
            )

    @contextlib.contextmanager
    def _refusing_errors(self, expected: str) -> Iterator[None]:
        """Turns what the operating system refuses into a RunError."""
        try:
            yield
        except RunError:
            raise
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            reason = getattr(error, "strerror", None) or error
            raise RunError(
                f"`run_dir` should be a folder {expected} ({reason}). "
                f"Received: run_dir={str(self.path)!r}"
            ) from None

    def _parts(self) -> tuple[Path, ...]:
        return (
            self.metrics_path,
            self.tensorboard_dir,
            self.checkpoints_dir,
            self.policy_path,
            self.best_policy_path,
            self.best_policy_scores_path,
            self.best_evaluation_path,
            self.seed_policy_path(0).parent,
            self.seed_best_policy_path(0).parent,
            self.learning_curve_path,
            self.tracking_path,
            self.evaluation_path,
            self.in_context_path,
            self.in_context_plot_path,
            self.probes_path,
            self.probes_plot_path,
        )


def _checksum(config: dict[str, Any]) -> str:
    """Of the contents, whatever the order of the keys and the spaces between them."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
