"""Trainings and their scores in processes of their own, one a core."""

import concurrent.futures
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

from keras_s5rl.runs import RunDirectory, RunError, read_json, read_metrics

_PROGRAM = "import sys; from keras_s5rl.cli.{} import main; sys.exit(main())"


class RunFailed(Exception):
    """A command of a training ended with an error; the message is its last line."""


class Runner:
    """Runs trainings side by side, each bound to a core of its own.

    A training that was stopped goes on from its last checkpoint, one that has all its scores does
    not run again.

    Args:
        folder: Path, where the run directories are.
        num_workers: Positive integer, how many run at a time.
        num_episodes: Positive integer, of each score.
        report: Function that is called with a line for each training that ends.
    """

    def __init__(self, folder, num_workers, num_episodes, report):
        self.folder = pathlib.Path(folder)
        self.num_episodes = num_episodes
        self._report = report
        self._num_workers = num_workers
        self._cores = queue.SimpleQueue()
        for core in _cores(num_workers):
            self._cores.put(core)
        self._processes = set()
        self._lock = threading.Lock()
        self._is_stopping = False

    def run(self, trainings):
        """Runs all trainings; returns the error of each that failed, by its name.

        An interrupt, such as Ctrl-C, stops those that run, each with a checkpoint, and is raised
        again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        errors = {}
        with concurrent.futures.ThreadPoolExecutor(self._num_workers) as pool:
            futures = {pool.submit(self._run, training): training for training in trainings}
            try:
                for future in concurrent.futures.as_completed(futures):
                    name = futures[future].name
                    try:
                        self._report(f"{name}: {future.result()}")
                    except RunFailed as error:
                        errors[name] = str(error)
                        self._report(f"{name}: failed, {error}")
            except BaseException:
                self._stop()
                raise
        return errors

    def run_dir(self, training):
        """Returns the run directory of a training."""
        return self.folder / training.name

    def score_path(self, training, score):
        """Returns the file of a score of a training."""
        return self.folder / f"{training.name}.{score.replace(' ', '_')}.json"

    def _run(self, training):
        core = self._cores.get()
        try:
            if not self._is_trained(training):
                self._train(training, core)
            for score, flags in training.evaluations.items():
                path = self.score_path(training, score)
                if not self._is_scored(path):
                    self._command(
                        *("evaluate", training, core),
                        *(f"--run_dir={self.run_dir(training)}", f"--json={path}", *flags),
                        f"--num_episodes={self.num_episodes}",
                    )
            scores = [read_json(self.score_path(training, name)) for name in training.evaluations]
            return ", ".join(map(_short, scores))
        finally:
            self._cores.put(core)

    def _is_trained(self, training):
        run = RunDirectory(self.run_dir(training))
        if not run.policy_path.exists():
            return False
        try:
            return (
                read_metrics(run.metrics_path)["env_steps"][-1]
                >= (run.read_config()["total_steps"])
            )
        except RunError:
            return False

    def _is_scored(self, path):
        try:
            report = read_json(path)
            return report.get("num_episodes", report.get("num_contexts")) >= self.num_episodes
        except RunError:
            return False

    def _train(self, training, core):
        run = RunDirectory(self.run_dir(training))
        for score in training.evaluations:
            self.score_path(training, score).unlink(missing_ok=True)
        arguments = [*training.flags, f"--seed={training.seed}", f"--run_dir={run.path}"]
        if run.config_path.exists():
            arguments.append("--resume")
        self._command("train", training, core, *arguments)

    def _command(self, name, training, core, *arguments):
        log_path = self.folder / f"{training.name}.log"
        with open(log_path, "ab") as log:
            with self._lock:
                if self._is_stopping:
                    raise RunFailed("stopped")
                process = subprocess.Popen(
                    [sys.executable, "-c", _bound_to(core) + _PROGRAM.format(name), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for this process, which stops the others
                )
                self._processes.add(process)
            status = process.wait()
            with self._lock:
                self._processes.discard(process)
        if status:
            lines = log_path.read_text(errors="replace").strip().splitlines()
            raise RunFailed(lines[-1] if lines else f"exit status {status}")

    def _stop(self):
        with self._lock:
            self._is_stopping = True
            for process in self._processes:
                process.send_signal(signal.SIGTERM)  # a training writes a checkpoint


def _short(report):
    """A report of evaluate in a few words."""
    if "scores" not in report:
        return f"{report['return_mean']:.3f}"
    first = [each for each in report["scores"] if each["tier"] == report["scores"][0]["tier"]]
    return ", ".join(f"{each['task']} {each['trained']['return_mean']:.3f}" for each in first)


def _cores(num_workers):
    """A core for each worker; `None` where processes cannot be bound or several share one."""
    if not hasattr(os, "sched_getaffinity"):
        return [None] * num_workers
    cores = sorted(os.sched_getaffinity(0))
    return cores[:num_workers] if 1 < num_workers <= len(cores) else [None] * num_workers


def _bound_to(core):
    return "" if core is None else f"import os; os.sched_setaffinity(0, {{{core}}}); "
