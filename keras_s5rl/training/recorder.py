"""What a training writes into its run directory, and how it is taken up again."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from keras_s5rl import backend
from keras_s5rl.envs.gymnasium.making import is_gymnasium
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import (
    Checkpoints,
    MetricsLog,
    RunDirectory,
    RunError,
    TensorBoardLog,
    WriteError,
    console,
    find_damage,
    machine_block,
    plot_learning_curve,
    read_metrics,
    recorded_imports,
    repair,
    replacing,
    write_json_atomically,
)
from keras_s5rl.runs.seeds_text import seeds_text
from keras_s5rl.training.overrides import (
    apply_overrides,
    changed_settings,
    recorded_overrides,
)
from keras_s5rl.training.saved_states import newest_state, restore_newest
from keras_s5rl.training.score_record import best_policy_weights
from keras_s5rl.training.seed_records import checkpoint_of_seed
from keras_s5rl.typing import Array, StrPath

if TYPE_CHECKING:
    from keras_s5rl.training.ppo import PPO

# What config.json holds of the last process that trained the run.
_RENEWED_SETTINGS = (
    *("total_steps", "checkpoint_every", "log_every", "eval_every", "early_stop_patience"),
    "backend",
)


class Recorder:
    """Writes metrics, checkpoints, curve and policy of one training, whose folder is locked from
    `create` or `resume` to `close`.

    Args:
        run: `keras_s5rl.runs.RunDirectory`, locked, with its config.json.
        config: Dict, what that holds.
        restored: The checkpoint to go on from, or `None`.
    """

    def __init__(
        self, run: RunDirectory, config: dict[str, Any], restored: dict[str, Any] | None = None
    ) -> None:
        self.run = run
        self.restored = restored
        self._config = config
        self._num_overrides = len(recorded_overrides(config))
        self._checkpoints = Checkpoints(run.checkpoints_dir)
        self._metrics: Any = None
        self._tensorboard: Any = None
        self._best: dict[int, Any] = {}  # the scores of the best policies that are written down

    @classmethod
    def create(cls, run_dir: StrPath, settings: dict[str, Any]) -> Self:
        """Starts the record of a new run.

        Raises:
            RunError: If the folder holds a run, is in use or cannot be written to.
        """
        machine = machine_block()
        about = {"device": backend.device_name(), "versions": machine.pop("versions")}
        config = {**settings, **about, "machine": machine}
        return cls(RunDirectory.create(run_dir, config), config)

    @classmethod
    def resume(
        cls,
        run_dir: StrPath,
        settings: dict[str, Any],
        override: bool = False,
        accept_edited_config: bool = False,
    ) -> Self:
        """Goes on with the record of a run; config.json then names the backend that it goes on
        with, and settings that are overridden.

        Raises:
            RunError: If the folder holds no run, another process trains there, the run has other
                settings, none of its checkpoints can be read, or they are gone.
        """
        run = RunDirectory.open(run_dir)
        run.take()
        try:
            with _refusing_errors(run_dir):
                config = _checked_config(run, accept_edited_config)
                changed = changed_settings(config, settings, override)
                overrides = recorded_overrides(config)
                restored = newest_state(run, config)
                _warn_of_another_backend(config, settings)
                _warn_of_other_versions(config)
                _warn_of_new_episodes(config)
                config |= {name: settings[name] for name in _RENEWED_SETTINGS}
                config["device"] = backend.device_name()
                config["imports"] = list(
                    dict.fromkeys([*recorded_imports(config), *settings["imports"]])
                )
                if changed:
                    update = 0 if restored is None else restored["update"]
                    config |= {name: new for name, (_, new) in changed.items()}
                    config["overrides"] = [*overrides, {"update": update, "settings": changed}]
                    restored = restored and apply_overrides(restored, config)
                run.write_config(config)
                return cls(run, config, restored)
        except BaseException:
            run.release()
            raise

    @staticmethod
    def read(
        run_dir: StrPath, accept_edited_config: bool = False
    ) -> tuple[dict[str, Any], Callable[..., Any]]:
        """Returns `(settings, restore)` of a run: `restore` calls a function with the newest
        checkpoint that it takes, a dict with `update`, `arrays` and the agent's metadata."""
        run = RunDirectory.open(run_dir)
        with _refusing_errors(run_dir):
            config = _checked_config(run, accept_edited_config)
            newest = newest_state(run, config, required=True)
        return config, functools.partial(restore_newest, run, config, newest)

    def restore(self, restore: Callable[[dict[str, Any]], Any]) -> None:
        """Calls `restore` with the newest checkpoint that it takes, if the run has any."""
        if self.restored is not None:
            self.restored = restore_newest(self.run, self._config, self.restored, restore)

    def start(self, agent: "PPO") -> None:
        """Opens the logs, cut back to the checkpoint.

        A new run gets its checkpoint 0, before the iteration is compiled.
        """
        with self._writing():
            self.run.check_in_place()
            if self.restored is not None:
                self._repair_metrics()
            self._metrics = MetricsLog(self.run.metrics_path)
            self._metrics.truncate(0 if self.restored is None else self.restored["metrics_size"])
            resumed_at = None if self.restored is None else agent.env_steps
            self._tensorboard = TensorBoardLog(self.run.tensorboard_dir, resume_step=resumed_at)
        if self.restored is None:
            self.checkpoint(agent)
        else:  # a better one may have been found after the checkpoint, or not been written yet
            self._keep_best(agent, self.restored["arrays"], self.restored)

    def record(self, metrics: dict[str, Any]) -> None:
        """Writes the metrics of an update, and how often settings were overridden, if they were."""
        if self._num_overrides:
            metrics = {**metrics, "overrides": self._num_overrides}
        with self._writing():
            self.run.check_in_place()
            self._metrics.append(metrics)
            self._tensorboard.scalars(metrics["env_steps"], metrics)

    def checkpoint(self, agent: "PPO") -> None:
        """Writes a checkpoint, in the place of one of the same update."""
        update, arrays, metadata = agent.snapshot()
        with self._writing():
            self.run.check_in_place()
            self._metrics.sync()
            self._tensorboard.flush()
            log = {"metrics_size": self._metrics.size, "metrics_sha256": self._metrics.sha256}
            own = {**log, "overrides": self._num_overrides}
            self._checkpoints.save(update, arrays, {**metadata, **own})
        self._keep_best(agent, arrays, metadata)

    def _keep_best(self, agent: "PPO", arrays: dict[str, Array], metadata: dict[str, Any]) -> None:
        """Writes the best policy of each seed that a checkpoint holds, if it is another one than
        before."""
        for index, seed in enumerate(agent.seeds):
            own = checkpoint_of_seed({**metadata, "arrays": arrays}, index)
            best = own.get("best_policy")
            if best is None or best == self._best.get(seed):
                continue
            with self._writing():
                self._save_best(agent, seed, own["arrays"], best)
            self._best[seed] = best

    def _save_best(
        self, agent: "PPO", seed: int, arrays: dict[str, Array], scores: dict[str, Any]
    ) -> None:
        """Writes a policy that was the best one, and its scores."""
        path = self.run.best_policy_path
        if agent.num_seeds > 1:
            path = self.run.seed_best_policy_path(seed)
            path.parent.mkdir(exist_ok=True)
        weights = agent.policy.get_weights()
        try:
            agent.policy.set_weights(best_policy_weights(arrays))
            with replacing(path) as file:
                agent.policy.save(file)
        finally:
            agent.policy.set_weights(weights)
        write_json_atomically(path.with_suffix(".json"), scores)

    def finish(self, agent: "PPO") -> None:
        """Writes the last checkpoint, the policy and the learning curve."""
        self.checkpoint(agent)
        with self._writing():
            if agent.num_seeds == 1:
                with replacing(self.run.policy_path) as path:
                    agent.policy.save(path)
            else:
                self._save_policies(agent)
            if agent.update:
                metrics = read_metrics(self.run.metrics_path)
                seeds = seeds_text(agent.seed, agent.num_seeds)
                title = f"{agent.env}, {agent.memory}, {seeds}"
                plot_learning_curve(metrics, self.run.learning_curve_path, title=title)

    def _save_policies(self, agent: "PPO") -> None:
        """Writes the policy of each of several seeds."""
        for seed in agent.seeds:
            path = self.run.seed_policy_path(seed)
            path.parent.mkdir(exist_ok=True)
            with agent.seed_policy(seed) as policy, replacing(path) as file:
                policy.save(file)

    def close(self) -> None:
        """Closes the logs and gives the lock back. What they hold that no disk took is lost; the
        write before has raised an error that says so."""
        for log in (self._metrics, self._tensorboard):
            if log is not None:
                with contextlib.suppress(OSError):
                    log.close()
        self.run.release()

    def _repair_metrics(self) -> None:
        path, restored = self.run.metrics_path, self.restored
        assert restored is not None
        damage = find_damage(path, restored["metrics_size"], restored.get("metrics_sha256"))
        if damage is None:
            return
        kept = repair(path, restored["update"])
        aside = "" if kept is None else f"; it is kept as {kept.name}"
        console.write(
            f"warning: {path.name} {damage}{aside}. The run goes on with the lines up to update "
            f"{restored['update']} that can be read"
        )
        restored["metrics_size"] = path.stat().st_size

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Says of errors of the operating system what they mean for the run."""
        try:
            yield
        except OSError as error:
            if isinstance(error, WriteError):
                reason: object = error
                way = "A run's folder and files must stay in place while it trains."
            else:
                reason = error.strerror or error
                way = "Mend that, then go on from the last checkpoint with --resume (resume=True)."
            raise WriteError(
                f"`run_dir` cannot be written any more ({str(reason).rstrip('.')}). {way} "
                f"Received: run_dir={str(self.run.path)!r}"
            ) from error


def _checked_config(run: RunDirectory, accept_edited: bool) -> dict[str, Any]:
    config = run.read_config(accept_edited)
    PPOConfig.from_settings(config)
    recorded_overrides(config)
    return config


@contextlib.contextmanager
def _refusing_errors(run_dir: StrPath) -> Iterator[None]:
    """Turns what the operating system refuses, before training, into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"`run_dir` should be a folder that can be read and written to "
            f"({error.strerror or error}). Received: run_dir={str(run_dir)!r}"
        ) from None


def _warn_of_another_backend(config: dict[str, Any], settings: dict[str, Any]) -> None:
    if config["backend"] != settings["backend"]:
        console.write(
            f"warning: the backend has changed ({config['backend']} -> {settings['backend']}); the "
            "run goes on, but not bit for bit as it would have"
        )


def _warn_of_new_episodes(config: dict[str, Any]) -> None:
    if is_gymnasium(config["env"]):
        console.write(
            "warning: checkpoints do not hold the state of environments of Gymnasium; the run goes "
            "on with new episodes"
        )


def _warn_of_other_versions(config: dict[str, Any]) -> None:
    recorded = config.get("versions", {})
    changed = [
        f"{package} {recorded.get(package)} -> {version}"
        for package, version in machine_block()["versions"].items()
        if recorded.get(package) != version
    ]
    if changed:
        console.write(
            f"warning: versions have changed ({', '.join(changed)}); the run goes on, but not bit "
            "for bit as it would have"
        )
