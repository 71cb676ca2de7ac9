"""A run that was begun on one backend is scored and goes on on another."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s5rl.runs import RunDirectory
from tests.support.small_runs import metrics_of
from tests.training import portable_runs

pytestmark = pytest.mark.devices

BACKENDS = ("jax", "tensorflow", "torch")
PAIRS = [(writer, reader) for writer in BACKENDS for reader in BACKENDS if writer != reader]

if keras.config.backend() != "torch" or not all(map(importlib.util.find_spec, BACKENDS)):
    pytest.skip(
        "The session on torch compares all three backends, if they are installed.",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What all backends wrote, and what each made of it; and what they printed, by backend."""
    folder = tmp_path_factory.mktemp("runs")

    def start(backend, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "tests.training.portable_runs", *arguments],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )

    for task in ("write", "read"):
        processes = {}
        for backend in ("jax", "tensorflow"):
            writers = [b for b in BACKENDS if b != backend] if task == "read" else []
            processes[backend] = start(backend, task, str(folder), *writers)
        if task == "write":
            portable_runs.write(folder)
        else:
            portable_runs.read(folder, ["jax", "tensorflow"])
        for backend, process in processes.items():
            _, stderr = process.communicate()
            assert process.returncode == 0, stderr
            (folder / f"{backend}_{task}.txt").write_text(stderr)
    return folder


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_a_policy_scores_the_same_on_another_backend(folder, writer, reader):
    expected, found = (
        json.loads((folder / f"{name}.json").read_text()) for name in (writer, f"{writer}_{reader}")
    )
    equal = np.isclose(found["returns"], expected["returns"], atol=1e-5)
    assert equal.sum() >= portable_runs.NUM_EPISODES - 1  # but for a tie within rounding
    assert found["return_mean"] == pytest.approx(expected["return_mean"], abs=0.02)


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_a_run_goes_on_on_another_backend_which_says_so(folder, writer, reader):
    run_dir = folder / f"{writer}_{reader}"
    expected, found = metrics_of(folder / writer), metrics_of(run_dir)
    assert len(found) == 4 and found[:2] == expected[:2] and found[2:] != expected[2:]
    for row, expected_row in zip(found[2:], expected[2:], strict=True):
        for name, value in expected_row.items():
            assert row[name] == (value and pytest.approx(value, rel=1e-3, abs=1e-5)), name
    assert RunDirectory.open(run_dir).read_config()["backend"] == reader
    if reader != "torch":  # which is this process
        printed = (folder / f"{reader}_read.txt").read_text()
        assert f"warning: the backend has changed ({writer} -> {reader})" in printed
