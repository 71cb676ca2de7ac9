"""Flags of train that keep its run elsewhere, too."""

import sys

import pytest

from keras_s5rl.cli import command, train
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.tracking_flags import trackers
from keras_s5rl.runs import RunDirectory, write_json_atomically
from tests.support.fake_trackers import Mlflow, Wandb
from tests.support.small_runs import FLAGS, STEPS, metrics_of, newest_arrays


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_library_that_is_missing_is_named_before_anything_is_written(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    assert train.main(["train.py", f"--{name}"]) == 2
    error = capsys.readouterr().err
    assert f'pip install "keras-s5rl[{name}]"' in error and error.count("\n") == 1
    assert error.endswith(f"Received: {name}=True\n") and list(tmp_path.iterdir()) == []


def flags(*arguments):
    memory = MemoryFlags(lambda values: "s5")
    return command.parse_flags(train.define_flags, ["train.py", *arguments], memory)


def test_a_resumed_run_is_tracked_where_it_was_unless_it_should_not_be(tmp_path, monkeypatch):
    Wandb().install(monkeypatch)
    Mlflow().install(monkeypatch)
    write_json_atomically(RunDirectory(tmp_path).tracking_path, {"wandb": "made-up"})
    resume = (f"--run_dir={tmp_path}", "--resume")
    assert trackers(flags(*resume)) == ["wandb"]
    assert trackers(flags(*resume, "--mlflow")) == ["wandb", "mlflow"]
    assert trackers(flags(*resume, "--nowandb")) == []
    assert trackers(flags(f"--run_dir={tmp_path}")) == []


@pytest.mark.slow
@pytest.mark.jax_alone
def test_a_training_that_is_tracked_is_bit_for_bit_the_one_that_is_not(tmp_path, monkeypatch):
    wandb, mlflow = Wandb().install(monkeypatch), Mlflow().install(monkeypatch)
    short = [*FLAGS, "--memory=mlp", f"--total_steps={3 * STEPS}", "--log_every=2"]
    untracked, tracked = tmp_path / "untracked", tmp_path / "tracked"
    assert train.main(["train.py", *short, f"--run_dir={untracked}"]) == 0
    assert train.main(["train.py", *short, f"--run_dir={tracked}", "--wandb", "--mlflow"]) == 0
    metrics = metrics_of(tracked)
    assert metrics == metrics_of(untracked)
    assert newest_arrays(tracked) == newest_arrays(untracked)
    assert [logs["update"] for logs in wandb.logged] == [2, 3]
    first, second, third = (row["loss"] for row in metrics)
    losses = [logs["loss"] for logs in mlflow.logged]
    assert losses == pytest.approx([(first + second) / 2, third])
    assert wandb.settings[0]["config"]["seed"] == 0 and wandb.settings[0]["name"] == "tracked"
    assert "evaluation_return_mean" in wandb.summary and wandb.codes == [0]
