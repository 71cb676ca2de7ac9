"""Fixtures of the tests of the commands."""

import pytest

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
