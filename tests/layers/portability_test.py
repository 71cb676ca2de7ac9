"""A model saved on one backend gives the same outputs on every other."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.layers import portable_model

pytestmark = pytest.mark.slow

if keras.config.backend() != "jax":
    pytest.skip("The session on JAX compares all backends.", allow_module_level=True)

BACKENDS = ("jax", "tensorflow", "torch")
INSTALLED = [backend for backend in BACKENDS if importlib.util.find_spec(backend)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What all installed backends wrote, and the outputs that each had from it."""
    folder = tmp_path_factory.mktemp("models")

    def run(backend, *arguments):
        environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [sys.executable, "-m", "tests.layers.portable_model", *arguments],
            cwd=Path(__file__).parents[2],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    others = [backend for backend in INSTALLED if backend != "jax"]
    portable_model.write(folder)
    for backend in others:
        run(backend, "write", str(folder))
    portable_model.read(folder, INSTALLED)
    for backend in others:
        run(backend, "read", str(folder), *INSTALLED)
    return folder


def load(file):
    with np.load(file) as arrays:
        return list(arrays.values())


@pytest.mark.parametrize("saved", ("keras", "weights"))
@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
def test_outputs_are_those_of_the_backend_that_saved_it(folder, writer, reader, saved):
    for backend in (writer, reader):
        if backend not in INSTALLED:
            pytest.skip(f"{backend} is not installed.")
    expected = load(folder / f"{writer}.npz")
    found = load(folder / f"{writer}_{reader}_{saved}.npz")
    assert [value.shape for value in expected] == [(2, 4)] * 2
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)


def test_each_backend_wrote_a_model_of_its_own(folder):
    """Or a file that was not read would go unnoticed."""
    outputs = [load(folder / f"{backend}.npz")[0] for backend in INSTALLED]
    for first, second in zip(outputs, outputs[1:], strict=False):
        assert np.abs(first - second).max() > 1e-3
