"""The command that runs the paper's experiments again."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from benchmarks import reproduce
from benchmarks.experiments import EXPERIMENTS, results
from benchmarks.experiments.experiment import SCALES, Experiment, Training
from benchmarks.experiments.pages import table
from benchmarks.experiments.running import Runner
from keras_s5rl.cli import command, evaluate, train
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.setting_flags import config_from_flags, memory_args_from_flags
from keras_s5rl.runs import RunDirectory


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_flags_of_every_training_and_score_are_right(name, scale):
    trainings = EXPERIMENTS[name].trainings(scale)
    assert len({training.name for training in trainings}) == len(trainings)
    memory_flags = MemoryFlags(lambda values: str(values.memory))
    for training in (each for each in trainings if each.seed == 0):
        values = command.parse_flags(
            train.define_flags, ["train", *training.flags, "--seed=0"], memory_flags
        )
        config_from_flags(values)
        memory_args_from_flags(values, values.memory)
        for flags in training.evaluations.values():
            command.parse_flags(evaluate.define_flags, ["evaluate", *flags])


def test_published_scores_and_references_are_of_tasks_that_are_trained():
    for experiment in EXPERIMENTS.values():
        trained = {(each.task, each.memory) for each in experiment.trainings("paper")}
        assert set(experiment.references) <= {task for task, _ in trained}
        if experiment is not EXPERIMENTS["memory_chain"]:  # the paper has more lengths
            assert set(experiment.published) <= trained
    chains = {(each.task, each.memory) for each in EXPERIMENTS["memory_chain"].trainings("cpu")}
    published = EXPERIMENTS["memory_chain"].published
    assert {key for key in chains if key[1] in ("s5", "lstm", "attention")} <= set(published)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "`experiment` should be one of memory_chain, "),
        (["--experiment=memory_chain", "--scale=huge"], "`scale` should be one of smoke, "),
        (["--experiment=memory_chain", "--only=sr5"], "`only` should be one of s5, "),
        (["--experiment=popgym5", "--task=Chess"], "`task` should be one of PositionOnlyCart"),
        (["--experiment=popgym5", "--seed=7"], "`seed` should be one of 0, 1, 2."),
        (["--experiment=runtime", "--only=mlp"], "`only` should be one of s5, gru, "),
        (["--experiment=runtime", "--task=100"], "`task` should be one of 64, 256, "),
        (["--experiment=runtime", "--seed=0"], "`seed` should not be given with the experiment"),
        (
            ["--experiment=memory_chain", "--task=length 2048", "--only=gru"],
            "`only`, `task` and `seed` should leave a training",
        ),
    ],
)
def test_wrong_flags_are_named_before_anything_runs(flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reproduce.main(["reproduce", *flags]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def _record(memory, seed, greedy, **more):
    return {
        **{"task": "one", "memory": memory, "seed": seed, "score": "score", "flags": ["--x=1"]},
        **{"parameters": 1234, "env_steps": 5000, "seconds": 10.0 * (1 + seed), "mmer": greedy},
        **{"greedy": greedy, "sampled": greedy - 0.5, "num_episodes": 10, "published": 0.5},
        **{"evaluation": [], "cpu": "some", "date": "2026-11-29T00", "git_commit": "abcdef123"},
        **more,
    }


def _two_trainings(scale):
    return [
        Training("one", memory, seed, ("--x=1",)) for memory in ("s5", "gru") for seed in (0, 1)
    ]


def test_the_table_has_the_interquartile_mean_of_the_seeds_and_what_failed():
    experiment = Experiment(
        *("A title", "A claim.", _two_trainings),
        references={"one": {"random": -0.5}, "other": {"random": 1.0}},
    )
    records = [_record("s5", 0, 0.25), _record("s5", 1, 0.75, mmer=None)]
    page = table(results.document(experiment, "cpu", "python it", records, {"x": "no"}))
    scores = "0.500 [0.250, 0.750] | 0.000 [-0.250, 0.250] | 0.250"
    assert f"| one | s5 | 1,234 | 5,000 | 15 | 0, 1 | {scores} | 0.5 |" in page
    assert "- one: random -0.5" in page and "other: " not in page and "Failed: x: no" in page
    assert "some, 2026-11-29, version abcdef1." in page


def test_one_seed_has_a_score_and_no_interval():
    experiment = Experiment("A title", "A claim.", _two_trainings)
    page = table(results.document(experiment, "cpu", "it", [_record("gru", 0, 0.25)], {}))
    assert "| 10 | 0 | 0.250 | -0.250 | 0.250 | 0.5 |" in page


def test_a_part_takes_its_place_beside_the_numbers_of_other_parts(tmp_path):
    experiment = Experiment("A title", "A claim.", _two_trainings)
    first = [_record("gru", 0, 0.25), _record("s5", 0, 1.0), _record("s5", 1, 2.0)]
    path = tmp_path / "cpu.json"
    path.write_text(json.dumps(results.document(experiment, "cpu", "it", first, {})))
    records = [*results.recorded(path, experiment, "cpu", 10), _record("s5", 1, 3.0)]
    rows = results.document(experiment, "cpu", "it", records, {})["rows"]
    found = [(row["memory"], row["seeds"], row["greedy"]) for row in rows]
    assert found == [("s5", [0, 1], [1.0, 3.0]), ("gru", [0], [0.25])]


def test_numbers_of_other_flags_or_fewer_episodes_are_not_kept(tmp_path):
    experiment = Experiment("A title", "A claim.", _two_trainings)
    stale = [_record("s5", 0, 1.0, flags=["--x=2"]), _record("s5", 1, 1.0, num_episodes=5)]
    path = tmp_path / "cpu.json"
    path.write_text(json.dumps({"records": [*stale, _record("lstm", 0, 1.0)]}))
    assert results.recorded(path, experiment, "cpu", 10) == []
    path.write_text("{}")  # of a format before this one
    assert results.recorded(path, experiment, "cpu", 10) == []
    assert results.recorded(tmp_path / "missing.json", experiment, "cpu", 10) == []


@pytest.mark.slow
def test_a_training_that_fails_is_reported_and_the_others_go_on(tmp_path):
    trainings = [Training("a", "s5", 0, ("--no_such_flag=1",)), Training("b", "s5", 0, ("--x=1",))]
    lines = []
    errors = Runner(tmp_path, 2, 8, lines.append).run(trainings)
    assert set(errors) == {"a_s5_seed0", "b_s5_seed0"} == {line.partition(":")[0] for line in lines}
    assert "no_such_flag" in errors["a_s5_seed0"]


@pytest.mark.slow
def test_an_experiment_trains_scores_and_writes_and_a_second_call_goes_on(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        reproduce, "EXPERIMENTS", {"small": Experiment("Small", "A claim.", _small_trainings)}
    )
    flags = ["--experiment=small", "--scale=smoke", f"--runs_dir={tmp_path / 'runs'}"]
    flags.append(f"--output_dir={tmp_path / 'out'}")
    assert reproduce.main(["reproduce", *flags]) == 0
    document = json.loads((tmp_path / "out" / "smoke.json").read_text())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("smoke.json", "smoke.md", "smoke.png")
    }
    (longer, own) = sorted(document["rows"], key=lambda row: row["score"])
    report = json.loads((tmp_path / "runs" / "chain_mlp_seed1.longer.json").read_text())
    assert longer["greedy"][1] == report["return_mean"] == np.mean(report["returns"])
    assert report["env_args"]["memory_length"] == 5 and own["seeds"] == [0, 1]
    assert own["env_steps"] == 64 and own["parameters"] > 100
    capsys.readouterr()

    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "runs").glob("*/policy.keras"))]
    (tmp_path / "runs" / "chain_mlp_seed0" / "policy.keras").unlink()  # as if it had been stopped
    assert reproduce.main(["reproduce", *flags]) == 0
    again = [path.stat().st_mtime_ns for path in sorted((tmp_path / "runs").glob("*/policy.keras"))]
    assert again[0] > times[0] and again[1] == times[1]
    second = json.loads((tmp_path / "out" / "smoke.json").read_text())
    assert [row["greedy"] for row in second["rows"]] == [row["greedy"] for row in document["rows"]]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_stops_its_trainings_with_a_checkpoint(
    number, tmp_path, monkeypatch
):
    only_long = Experiment("Long", "A claim.", lambda scale: [_long_training()])
    monkeypatch.setattr(reproduce, "EXPERIMENTS", {"long": only_long})
    flags = ["--experiment=long", "--scale=smoke", f"--runs_dir={tmp_path / 'runs'}"]
    metrics = tmp_path / "runs" / _long_training().name / "metrics.jsonl"

    def stop_when_it_trains():
        while not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop_when_it_trains, daemon=True).start()
    with pytest.raises(SystemExit) as stop:
        sys.exit(reproduce.main(["reproduce", *flags]))  # as the launcher does
    assert stop.value.code == 128 + number
    run = RunDirectory(metrics.parent)
    num_updates = len(metrics.read_text().splitlines())
    newest = max(path.name for path in run.checkpoints_dir.iterdir())
    assert newest == f"checkpoint_{num_updates:08d}"
    run.take()  # nobody trains there any more
    run.release()
    assert "go on with --resume" in (tmp_path / "runs" / f"{_long_training().name}.log").read_text()


def _long_training():
    return dataclasses.replace(_small_trainings("smoke")[0], flags=_LONG_FLAGS)


_SIZES = ("--num_envs=2", "--num_steps=16", "--num_minibatches=1", "--num_epochs=1", "--width=4")
_CHAIN = ("--env=MemoryChain", '--env_args={"memory_length": 3}', "--memory=mlp", *_SIZES)
_LONG_FLAGS = (*_CHAIN, "--total_steps=100000000", "--log_every=1000")


def _small_trainings(scale):
    evaluations = {"score": (), "longer": ('--env_args={"memory_length": 5}',)}
    return [
        Training("chain", "mlp", seed, (*_CHAIN, "--total_steps=64"), evaluations)
        for seed in (0, 1)
    ]


@pytest.mark.slow
def test_the_launcher_runs_from_any_folder(tmp_path):
    launcher = pathlib.Path(reproduce.__file__).parents[1] / "launch" / "reproduce.py"
    result = subprocess.run(
        [sys.executable, launcher, "--experiment=none"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2 and "`experiment` should be one of" in result.stderr
