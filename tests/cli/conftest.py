"""Fixtures of the tests of the commands."""

import os
import sys

import pytest

from tests.small_runs import FLAGS, STEPS, run, start  # noqa: F401


@pytest.fixture(autouse=True)
def unchanged_process(monkeypatch):
    """A command called in this process may say which backend and whether TensorFlow is used."""
    monkeypatch.setenv("KERAS_BACKEND", os.environ["KERAS_BACKEND"])
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")
    monkeypatch.setenv("GLIBC_TUNABLES", "")  # a benchmark of one case is measured in this process
    hidden = sys.modules.get("tensorflow", "not loaded")
    yield
    if hidden == "not loaded" and sys.modules.get("tensorflow", hidden) is None:
        del sys.modules["tensorflow"]


@pytest.fixture(scope="session")
def trained(run, tmp_path_factory):  # noqa: F811
    """A run that was never interrupted, made by launch/train.py: `(folder, stdout, stderr)`."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    status, stdout, stderr = run("train", *train_flags(folder))
    assert status == 0, stderr
    return folder, stdout, stderr


def train_flags(folder, num_updates=60):
    schedule = [f"--total_steps={num_updates * STEPS}", "--checkpoint_every=7", "--log_every=20"]
    return [*FLAGS, *schedule, "--env=RepeatPreviousEasy", f"--run_dir={folder}"]
