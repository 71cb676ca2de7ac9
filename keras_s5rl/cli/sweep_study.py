"""The study of a sweep: which trial a worker takes next, and what became of each.

Optuna keeps the trials, in a journal file or a database. A trial is taken under a lock of the
folder, so that workers together start as many as were asked for. A worker, and the training that it
starts, hold a lock of the trial, which the system gives back when both have ended, however that
was: a trial that runs and whose lock is free was left behind, and the next worker goes on with it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_s5rl.cli.sweep_params import Param, grid

PRUNING_POINTS = 20  # a training is compared with others this many times
_WARM_UP = 5  # of these points, before which nothing is pruned


class SweepStudy:
    """The trials of a sweep.

    Args:
        folder: Where the sweep lies; it exists.
        params: List of `Param`.
        sampler: String, `"tpe"`, `"random"` or `"grid"`.
        num_trials: Positive integer, trials of all workers; all combinations on a grid.
        prune: Whether trainings that stay below the median of the others are stopped.
        seed: Integer, of what the sampler draws.
        storage: String, the address of a database, or `None` for a journal file in the folder.
    """

    def __init__(
        self,
        folder: Path,
        params: Sequence[Param],
        sampler: str,
        num_trials: int,
        prune: bool,
        seed: int,
        storage: str | None,
    ) -> None:
        self.folder = folder
        self.params = params
        self.num_trials = num_trials
        self._sampler, self._prune, self._seed = sampler, prune, seed
        self._storage = storage
        (folder / "locks").mkdir(exist_ok=True)
        with self._lock():
            study = self._open()
            for combination in grid(params) if sampler == "grid" else ():
                study.enqueue_trial(combination, skip_if_exists=True)

    def take(self) -> "tuple[Any, int] | None":
        """Returns an `optuna.trial.Trial` and the descriptor of its lock, to be closed when the
        trial is finished; or `None` where all trials are taken: some may run still, and be left
        behind."""
        from optuna.trial import Trial, TrialState

        with self._lock():
            study = self._open()
            trials = study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state != TrialState.RUNNING:
                    continue
                lock = self._try_lock(trial.number)
                if lock is None:
                    continue
                # Its worker may have finished it just before it gave the lock back.
                if study.get_trials(deepcopy=False)[trial.number].state == TrialState.RUNNING:
                    return self._with_values(Trial(study, trial._trial_id)), lock
                os.close(lock)
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if not waiting and (self._sampler == "grid" or len(trials) >= self.num_trials):
                return None
            trial = study.ask()
            lock = self._try_lock(trial.number)
            assert lock is not None, "a new trial has a lock of its own"
            return self._with_values(trial), lock

    def num_running(self) -> int:
        """The number of trials that are taken and have not ended."""
        return sum(row["state"] == "running" for row in self.table())

    def run_dir(self, number: int) -> Path:
        """Where the training of a trial lies."""
        return self.folder / f"trial_{number:04d}"

    def finish(self, trial: Any, value: float | None, reason: str | None = None) -> None:
        """Writes down how a trial ended: with a value, pruned (neither), or failed for a reason."""
        from optuna.trial import TrialState

        state = None
        if reason is not None:
            trial.set_user_attr("reason", reason)
            value, state = None, TrialState.FAIL
        elif value is None:
            state = TrialState.PRUNED
        self._open().tell(trial.number, value, state=state)

    def table(self) -> list[dict[str, Any]]:
        """Returns all trials, best first: `number`, `state`, `value`, `params`, `seconds`, `reason`
        (of a failure) and `run_dir`."""
        rows = [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "value": trial.value,
                "params": dict(trial.params),
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                "reason": trial.user_attrs.get("reason"),
                "run_dir": str(self.run_dir(trial.number)),
            }
            for trial in self._open().get_trials(deepcopy=False)
        ]
        complete = [row for row in rows if row["state"] == "complete"]
        others = [row for row in rows if row["state"] != "complete"]
        return [*sorted(complete, key=lambda row: row["value"], reverse=True), *others]

    def _with_values(self, trial: Any) -> Any:
        """Draws the values of a trial while nobody else draws; those that it has stay."""
        for param in self.params:
            param.suggest(trial)
        return trial

    def _open(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage: Any = self._storage
        if storage is None:
            journal = optuna.storages.journal.JournalFileBackend(str(self.folder / "journal.log"))
            storage = optuna.storages.JournalStorage(journal)
        study = optuna.create_study(
            study_name=self.folder.resolve().name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=_WARM_UP)
            if self._prune
            else optuna.pruners.NopPruner(),
        )
        # A draw depends on the seed and the trials before it, whichever worker makes it.
        seed = self._seed + len(study.get_trials(deepcopy=False))
        study.sampler = (
            optuna.samplers.TPESampler(seed=seed)
            if self._sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
        return study

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self.folder / "locks" / "sweep", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _try_lock(self, number: int) -> int | None:
        """The descriptor of the lock of a trial, or `None` where another process has it."""
        lock = os.open(self.folder / "locks" / f"{number:04d}", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock
