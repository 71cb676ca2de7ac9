"""One iteration of PPO is the same on every backend."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.ppo.portable_iteration import CASES, iterate

BACKEND = keras.config.backend()
if BACKEND == "jax":
    pytest.skip("The other backends are compared with JAX.", allow_module_level=True)
# TensorFlow takes long to compile; mines and bandits are drawn like decks and initial states.
COMPARED = [case for case in CASES if BACKEND == "torch" or case not in ("mines", "bandits")]


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """What a process on JAX gets; it works while this one compiles."""
    file = tmp_path_factory.mktemp("iterations") / "jax.npz"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiles faster
    command = [sys.executable, "-m", "tests.ppo.portable_iteration", str(file), *COMPARED]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:

        def read():
            _, stderr = process.communicate()
            assert process.returncode == 0, stderr
            with np.load(file) as arrays:
                return dict(arrays)

        results = []
        yield lambda: results[0] if results else results.append(read()) or results[0]
        process.kill()


@pytest.mark.parametrize("case", COMPARED)
def test_an_iteration_from_the_same_key_and_weights_is_that_of_jax(on_jax, case):
    found = iterate(case)
    expected = {name: on_jax()[name] for name in found}
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        if array.dtype.kind != "f":  # actions, keys, decks, flags: bit for bit
            np.testing.assert_array_equal(found[name], array, err_msg=name)
            continue
        error = np.linalg.norm(found[name].astype("float64") - array)
        assert error <= 1e-4 * max(np.linalg.norm(array), 1e-2), (name, error, array)
