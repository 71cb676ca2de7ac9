"""What the command that trains sets up before JAX starts: devices and CUDA graphs."""

import json
import os
import subprocess
import sys

import pytest

from keras_s5rl.cli import train
from tests.support.small_runs import metrics_of, train_flags

pytestmark = pytest.mark.devices


def test_cuda_graphs_are_asked_of_xla_in_words_that_it_knows(run, tmp_path, monkeypatch, capsys):
    # XLA ends a process at once whose flags it does not know, on a CPU too.
    program = "import jax; print(jax.numpy.add(1, 1))"
    environment = os.environ | {"XLA_FLAGS": train._CAPTURE_LOOPS}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)

    status, stdout, stderr = run("train", *train_flags(tmp_path / "run"), "--cuda_graphs")
    if status == 2:  # there is no GPU
        assert "`cuda_graphs` needs an NVIDIA GPU" in stderr and stderr.count("\n") == 1
        assert not (tmp_path / "run").exists()
    else:
        assert status == 0, stderr

    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setattr(train.command, "select_backend", lambda *arguments: None)
    assert train.main(["train.py", "--cuda_graphs", "--env=unknown"]) == 2
    given, added = os.environ["XLA_FLAGS"].split()
    assert given == "--xla_cpu_enable_fast_math=false" and "+WHILE" in added
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert train.main(["train.py", "--cuda_graphs"]) == 2
    assert "Received: cuda_graphs=True, backend=torch" in capsys.readouterr().err


def test_cores_are_devices_on_request_and_the_run_can_be_scored_on_one(run, tmp_path):
    flags = train_flags(tmp_path / "run", num_updates=2)
    status, stdout, stderr = run("train", *flags, "--num_devices=2")
    assert status == 0, stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["num_devices"] == 2 and len(metrics_of(tmp_path / "run")) == 2
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    status, stdout, stderr = run("evaluate", f"--run_dir={tmp_path / 'run'}", "--json=-")
    assert status == 0, stderr
    assert json.loads(stdout) == report
    status, stdout, stderr = run("train", *flags, "--resume")  # on both cores again
    assert status == 0, stderr
    status, stdout, stderr = run(
        "train",
        *train_flags(tmp_path / "other"),
        *("--num_envs=32", "--num_devices=8"),
        environment={"JAX_NUM_CPU_DEVICES": "2"},
    )
    assert status == 2 and "`num_devices` should be at most 2" in stderr
    assert not (tmp_path / "other").exists()
