"""The command that searches for settings, with a training that only pretends."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna", reason="The extra `sweep` is not installed.")

from keras_s5rl.cli import sweep, sweep_params, sweep_trial
from keras_s5rl.runs import RunDirectory
from tests.support.pretended_training import PRETENDED

pytestmark = pytest.mark.usefixtures("pretended_trainings")

WORKER = """
import sys
from keras_s5rl.cli import sweep, sweep_trial
sweep_trial._TRAIN = {pretended!r}
sys.exit(sweep.main(["sweep.py", *sys.argv[1:]]))
"""


def run_sweep(*flags):
    return sweep.main(["sweep.py", *flags])


def start_worker(*flags):
    program = [sys.executable, "-c", WORKER.format(pretended=PRETENDED), *flags]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def starts():
    """For each trial whether its trainings resumed an earlier one."""
    files = sorted(Path("runs/sweep").glob("trial_*/starts"))
    return {file.parent.name: file.read_text().split() for file in files}


def widths():
    return [json.loads(p.read_text())["width"] for p in Path("runs").rglob("config.json")]


def test_a_grid_tries_all_combinations_and_prints_the_best_first(capsys):
    flags = ["--sampler=grid", "--param=width:30,45", "--param=memory:s5,gru"]
    assert run_sweep(*flags, "--", "--env=RepeatFirstEasy") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and sorted(widths()) == [30, 30, 45, 45]
    assert [line.split()[1] for line in lines[:3]] == ["-0.5000", "-0.5000", "-1.0000"]
    assert Path("runs/sweep/sweep.png").read_bytes().startswith(b"\x89PNG")
    assert run_sweep(*flags, "--", "--env=RepeatFirstEasy") == 0  # nothing is left to do
    assert set(map(len, starts().values())) == {1}


def test_a_training_that_fails_is_a_failed_trial_with_its_reason(capsys):
    assert run_sweep("--sampler=grid", "--param=width:13,30") == 0
    *_, failed, _ = capsys.readouterr().out.splitlines()
    assert "fail" in failed and "(width 13 brings bad luck. Received: width=13)" in failed


@pytest.mark.slow
def test_the_same_seed_draws_the_same_values(capsys):
    for folder in ("one", "two"):
        flags = ["--sampler=random", "--num_trials=2", f"--sweep_dir={folder}"]
        assert run_sweep("--param=width:20..60", "--param=discount:0.5..1.0", *flags) == 0
    drawn = [line.split()[1:] for line in capsys.readouterr().out.splitlines() if "width" in line]
    assert drawn[:2] == drawn[2:] and drawn[0] != drawn[1]


@pytest.mark.slow
def test_a_database_keeps_the_trials_too():
    flags = ["--num_trials=2", "--storage=sqlite:///sweep.db"]
    assert run_sweep("--param=width:20..60", *flags) == 0
    assert Path("sweep.db").exists() and not Path("runs/sweep/journal.log").exists()
    assert len(widths()) == 2


@pytest.mark.slow
def test_two_workers_one_of_which_is_killed_lose_no_trial_and_do_none_twice():
    flags = ["--sampler=grid", "--param=width:7,20,40,50,60"]
    killed = start_worker(*flags)
    while not list(Path("runs").rglob("config.json")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)  # its training goes on, and holds the lock of the trial
    killed.wait()
    workers = [start_worker(*flags) for _ in range(2)]
    while len(starts()) < 5:
        time.sleep(0.05)
    assert starts()["trial_0000"] == ["False"]  # nobody trains what is still being trained
    Path("go").touch()
    for worker in (killed, *workers):
        output, error = worker.communicate()
        assert worker is killed or worker.returncode == 0, error
    values = [float(line.split()[1]) for line in output.splitlines()[:-1]]
    assert values == sorted(values, reverse=True) and len(values) == 5
    assert sorted(widths()) == [7, 20, 40, 50, 60]
    first, *others = starts().values()
    assert first == ["False", "True"] and others == [["False"]] * 4


@pytest.mark.slow
def test_a_worker_that_is_asked_to_stop_leaves_its_trial_to_the_next():
    flags = ["--sampler=grid", "--param=width:7"]
    stopped = start_worker(*flags)
    while not list(Path("runs").rglob("config.json")):
        time.sleep(0.05)
    stopped.terminate()
    stopped.communicate()
    assert stopped.returncode == 143
    Path("go").touch()
    assert run_sweep(*flags) == 0
    assert starts() == {"trial_0000": ["False", "True"]}


@pytest.mark.parametrize("status", ["130", "143"])
def test_a_training_that_somebody_else_stopped_is_resumed_by_the_next_worker(status, monkeypatch):
    with monkeypatch.context() as patch:
        stopped = PRETENDED.replace("report =", f"sys.exit({status})\nreport =")
        patch.setattr(sweep_trial, "_TRAIN", stopped)
        with pytest.raises(SystemExit, match=status):
            run_sweep("--sampler=grid", "--param=width:40")
    assert run_sweep("--sampler=grid", "--param=width:40") == 0
    assert starts() == {"trial_0000": ["False", "True"]}


def test_a_training_is_watched_at_shares_of_its_steps(tmp_path):
    run = RunDirectory.create(tmp_path / "run", {"total_steps": 200})
    run.release()
    assert sweep_trial._progress(run, "mmer") == []
    rows = [{"env_steps": 8 * i, "mmer": None if i < 3 else float(i)} for i in range(1, 8)]
    run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Points lie every 10 steps; the first value is at 24, the last at 56.
    expected = [(1, 3.0), (2, 3.0), (3, 4.0), (4, 5.0), (5, 7.0)]
    assert sweep_trial._progress(run, "mmer") == expected


class Watched:
    """A trial that is to be pruned at its third report."""

    def __init__(self):
        self.study, self.number, self.reports = self, 0, []
        self.intermediate_values = {}

    def get_trials(self, deepcopy):
        return [self]

    def report(self, value, point):
        self.reports.append((point, value))

    def should_prune(self):
        return len(self.reports) == 3


def test_a_training_is_stopped_as_soon_as_it_is_to_be_pruned(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_trial, "_progress", lambda *_: [(i, -float(i)) for i in range(1, 9)])
    process, trial = subprocess.Popen(["sleep", "60"]), Watched()
    run = RunDirectory(tmp_path)
    try:
        assert sweep_trial._watch(process, run, trial, "mmer")
    finally:
        process.kill()
        process.wait()
    assert trial.reports == [(1, -1.0), (2, -2.0), (3, -3.0)]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", "`param` should name a flag of train"),
        ("--param=width", "`param` should be name:value"),
        ("--param=width:", "`param` should be name:value"),
        ("--param=width:4,4", "`param` should be name:value"),
        ("--param=width:9..4", "`param` should be name:value"),
        ("--param=learning_rate:0..1:log", "`param` should be name:value"),
        ("--param=wdith:4", "Did you mean: width"),
        ("--param=width:four", "should be a positive integer. Received: width=four"),
        ("--param=discount:0.5..2.0", "should be a number from 0 to 1"),
        ("--param=width:4 --param=width:8", "should name each flag once"),
        ("--param=width:4..8 --sampler=grid", "should be a list of values for the sampler grid"),
        ("--param=width:4 --sampler=best", "`sampler` should be one of tpe, random, grid"),
        ("--param=run_dir:a,b", "`run_dir` is set by the sweep"),
        ("--param=width:4 -- --width=8", "`width` is set by the sweep"),
        ("--param=width:4 -- --num_env=8", "Did you mean: num_envs"),
        ("--param=width:4 --sweep_dir=file", "`sweep_dir` should be a folder"),
    ],
)
def test_a_mistake_is_found_before_anything_is_written(flags, expected, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run_sweep(*flags.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "Received: " in error
    assert expected in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_tracker_that_is_missing_is_found_before_the_first_trial(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert run_sweep("--param=width:4,8", "--", "--wandb") == 2
    assert 'pip install "keras-s5rl[wandb]"' in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_a_worker_with_other_settings_is_refused(capsys):
    assert run_sweep("--param=width:30,50", "--sampler=grid") == 0
    assert run_sweep("--param=width:30,60", "--sampler=grid") == 2
    assert "as of the sweep in this folder" in capsys.readouterr().err


def test_ranges_and_lists_become_draws_of_optuna():
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    params = map(sweep_params.parse_param, ("a:1..3", "b:1e-4..1e-2:log", "c:x,y", "d:0.5..1"))
    a, b, c, d = params
    draws = [[p.suggest(study.ask()) for p in (a, b, c, d)] for _ in range(60)]
    columns = list(zip(*draws, strict=True))
    assert set(columns[0]) == {"1", "2", "3"} and set(columns[2]) == {"x", "y"}
    logs = np.log10([float(value) for value in columns[1]])
    assert logs.min() >= -4 and logs.max() <= -2 and abs(logs.mean() + 3) < 0.25
    assert all(0.5 <= float(value) <= 1 for value in columns[3])
