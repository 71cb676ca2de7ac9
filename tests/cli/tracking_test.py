"""Flags of train that keep its run elsewhere, too."""

import sys

import pytest

from keras_s5rl.cli import command, train
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.tracking_flags import trackers
from keras_s5rl.runs import RunDirectory, write_json_atomically
from tests.support.fake_trackers import Mlflow, Wandb
from tests.support.small_runs import metrics_of, train_flags


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
def test_a_training_that_is_tracked_is_bit_for_bit_the_one_that_is_not(
    trained, tmp_path, monkeypatch
):
    wandb, mlflow = Wandb().install(monkeypatch), Mlflow().install(monkeypatch)
    folder = tmp_path / "run"
    assert train.main(["train.py", *train_flags(folder), "--wandb", "--mlflow"]) == 0
    metrics = metrics_of(folder)
    assert metrics == metrics_of(trained[0])
    assert [logs["update"] for logs in wandb.logged] == [20, 40, 60]
    assert [logs["loss"] for logs in mlflow.logged] == pytest.approx(
        [sum(row["loss"] for row in metrics[end - 20 : end]) / 20 for end in (20, 40, 60)]
    )
    assert wandb.settings[0]["config"]["seed"] == 0 and wandb.settings[0]["name"] == "run"
    assert "evaluation_return_mean" in wandb.summary and wandb.codes == [0]
