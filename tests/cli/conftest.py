"""Fixtures of the tests of the commands."""

import pytest

from tests.support.pretended_training import PRETENDED
from tests.support.small_runs import train_flags


@pytest.fixture(autouse=True)
def commands_in_this_process(unchanged_process):
    """Commands are called in this process, too."""


@pytest.fixture(scope="session")
def trained(run, tmp_path_factory):
    """A run that was never interrupted, made by launch/train.py: `(folder, stdout, stderr)`."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    status, stdout, stderr = run("train", *train_flags(folder))
    assert status == 0, stderr
    return folder, stdout, stderr


@pytest.fixture
def pretended_trainings(tmp_path, monkeypatch):
    """Sweeps in an empty current folder, whose trainings only pretend."""
    from keras_s5rl.cli import sweep_trial

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_trial, "_TRAIN", PRETENDED)
    monkeypatch.setattr(sweep_trial, "_POLL", 0.05)
    yield
    (tmp_path / "go").touch()  # what a test that failed left behind ends, too
