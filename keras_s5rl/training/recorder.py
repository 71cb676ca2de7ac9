"""What a training writes into its run directory, and how it is taken up again."""

import sys

from keras_s5rl import backend
from keras_s5rl.ppo.config import LATER_SETTINGS
from keras_s5rl.runs import (
    Checkpoints,
    MetricsLog,
    RunDirectory,
    RunError,
    TensorBoardLog,
    machine_block,
    plot_learning_curve,
    read_metrics,
    replacing,
)

# What may be another when a run is resumed.
_FREE_SETTINGS = ("total_steps", "checkpoint_every", "log_every", "backend")


class Recorder:
    """Writes metrics, checkpoints, curve and policy of one training.

    Args:
        run: `keras_s5rl.runs.RunDirectory`, with its config.json.
        restored: The checkpoint to go on from, as `read` returns it, or `None`.
    """

    def __init__(self, run, restored=None):
        self.run = run
        self.restored = restored
        self._checkpoints = Checkpoints(run.checkpoints_dir)
        self._metrics = None
        self._tensorboard = None

    @classmethod
    def create(cls, run_dir, settings):
        """Starts the record of a new run; refuses a folder that holds one."""
        machine = machine_block()
        about = {"device": backend.device_name(), "versions": machine.pop("versions")}
        try:
            return cls(RunDirectory.create(run_dir, {**settings, **about, "machine": machine}))
        except OSError as error:
            raise RunError(
                f"`run_dir` should be a folder that can be made and written to ({error.strerror}). "
                f"Received: run_dir={str(run_dir)!r}"
            ) from None

    @classmethod
    def resume(cls, run_dir, settings):
        """Goes on with the record of a run; config.json then names the backend that it goes on
        with.

        Raises:
            RunError: If the folder holds no run, the run has other settings, or none of its
                checkpoints can be read.
        """
        run = RunDirectory.open(run_dir)
        config = run.read_config()
        _check_same(config, settings)
        checkpoint = _newest_checkpoint(run)
        _warn_of_another_backend(config, settings)
        _warn_of_other_versions(config)
        changed = {name: settings[name] for name in _FREE_SETTINGS}
        run.write_config({**config, **changed, "device": backend.device_name()})
        return cls(run, checkpoint)

    @staticmethod
    def read(run_dir):
        """Returns `(settings, checkpoint)` of a run.

        The checkpoint is a dict `update, arrays, mmer, wall_time_s, metrics_size`.
        """
        run = RunDirectory.open(run_dir)
        return run.read_config(), _newest_checkpoint(run, required=True)

    def start(self, agent):
        """Opens the logs, cut back to the checkpoint.

        A new run gets its checkpoint 0, before the iteration is compiled.
        """
        self._metrics = MetricsLog(self.run.metrics_path)
        self._metrics.truncate(0 if self.restored is None else self.restored["metrics_size"])
        resumed_at = None if self.restored is None else agent.env_steps
        self._tensorboard = TensorBoardLog(self.run.tensorboard_dir, resume_step=resumed_at)
        if self.restored is None:
            self.checkpoint(agent)

    def record(self, metrics):
        self._metrics.append(metrics)
        self._tensorboard.scalars(metrics["env_steps"], metrics)

    def checkpoint(self, agent):
        """Writes a checkpoint, in the place of one of the same update."""
        update, arrays, metadata = agent.snapshot()
        self._metrics.sync()
        self._tensorboard.flush()
        self._checkpoints.save(update, arrays, {**metadata, "metrics_size": self._metrics.size})

    def finish(self, agent):
        """Writes the last checkpoint, the policy and the learning curve."""
        self.checkpoint(agent)
        with replacing(self.run.policy_path) as path:
            agent.policy.save(path)
        if agent.update:
            metrics = read_metrics(self.run.metrics_path)
            plot_learning_curve(
                metrics,
                self.run.learning_curve_path,
                title=f"{agent.env}, {agent.memory}, seed {agent.seed}",
            )

    def close(self):
        for log in (self._metrics, self._tensorboard):
            if log is not None:
                log.close()


def _check_same(config, settings):
    free = _FREE_SETTINGS
    if settings["anneal_learning_rate"]:
        free = tuple(name for name in free if name != "total_steps")
    for name, value in settings.items():
        value = list(value) if isinstance(value, tuple) else value  # JSON has no tuples
        recorded = config.get(name, value if name in LATER_SETTINGS else None)
        if name not in free and recorded != value:
            raise RunError(
                f"`{name}` should be {recorded!r}, as in the run's config.json: a resumed "
                f"run keeps its settings. Received: {name}={value!r}"
            )


def _warn_of_another_backend(config, settings):
    if config["backend"] != settings["backend"]:
        print(
            f"warning: the backend has changed ({config['backend']} -> {settings['backend']}); the "
            "run goes on, but not bit for bit as it would have",
            file=sys.stderr,
        )


def _warn_of_other_versions(config):
    recorded = config.get("versions", {})
    changed = [
        f"{package} {recorded.get(package)} -> {version}"
        for package, version in machine_block()["versions"].items()
        if recorded.get(package) != version
    ]
    if changed:
        print(
            f"warning: versions have changed ({', '.join(changed)}); the run goes on, but not bit "
            "for bit as it would have",
            file=sys.stderr,
        )


def _newest_checkpoint(run, required=False):
    """The newest readable checkpoint, or `None` of a run that was stopped before its first one."""
    checkpoints = Checkpoints(run.checkpoints_dir)
    if not checkpoints.steps() and not required:
        return None
    update, arrays, metadata, skipped = checkpoints.load_newest()
    for name, reason in skipped:
        print(
            f"warning: {name} cannot be read ({reason}); going back to update {update}",
            file=sys.stderr,
        )
    return {"update": update, "arrays": arrays, **metadata}
