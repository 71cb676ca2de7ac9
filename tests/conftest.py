"""Settings that must be in place before a test file imports Keras or a backend."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# JAX and TensorFlow would each take the whole GPU, and neither full float32 on one.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")  # for programs that several devices run together
# Programs compiled by one worker, or by a command that a test starts, serve all others, and those
# of the next session.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

if os.environ["KERAS_BACKEND"] == "torch":
    import torch  # noqa: F401  before TensorFlow, or the process crashes
elif os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("deterministic")


# What is slow in these runs on JAX alone: it is written in `keras.ops` and against `backend`, whose
# tests, like those of the equations of layers, run on every backend in whole.
SLOW_ON_JAX_ALONE = (
    *("tests/envs/", "tests/training/", "tests/layers/arguments", "tests/layers/carried_states"),
    *("tests/layers/empty_batch", "tests/layers/keras_models", "tests/layers/rnn_cells"),
    *("tests/layers/recompilation", "tests/layers/derived_weights"),
)
# But for these, which compare with references and between backends.
SLOW_EVERYWHERE = {
    *("golden_test", "episodes_test", "engine_test", "autoreset_test"),
    *("portability_test", "other_backends_test"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks as slow what lies beyond the first cases of a test marked `slow_after(number)`, and as
    `jax_alone` what other backends leave to JAX."""
    counts = {}
    for item in items:
        marker = item.get_closest_marker("slow_after")
        if marker is not None:
            name = (item.path, item.originalname)
            counts[name] = counts.get(name, 0) + 1
            if counts[name] > marker.args[0]:
                item.add_marker(pytest.mark.slow)
        path = item.path.relative_to(ROOT).as_posix()
        may_be = path.startswith(SLOW_ON_JAX_ALONE) and item.path.stem not in SLOW_EVERYWHERE
        is_picture = path.startswith("tests/envs/rendering/")  # numpy draws it
        if is_picture or (may_be and item.get_closest_marker("slow")):
            item.add_marker(pytest.mark.jax_alone)


@pytest.fixture
def unchanged_process(monkeypatch):
    """A command called in this process may say which backend and whether TensorFlow is used."""
    monkeypatch.setenv("KERAS_BACKEND", os.environ["KERAS_BACKEND"])
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")
    monkeypatch.setenv("GLIBC_TUNABLES", "")  # a benchmark of one case is measured in this process
    hidden = sys.modules.get("tensorflow", "not loaded")
    yield
    if hidden == "not loaded" and sys.modules.get("tensorflow", hidden) is None:
        del sys.modules["tensorflow"]


@pytest.fixture
def registries_as_before():
    """An example may register names; other tests do not see them."""
    import gymnasium

    from keras_s5rl.envs import registry
    from keras_s5rl.models.memories import registry as memories_registry

    registries = (registry._own, memories_registry._MEMORIES, gymnasium.registry)
    before = [dict(names) for names in registries]
    yield
    for names, old in zip(registries, before, strict=True):
        names.clear()
        names.update(old)


@pytest.fixture(scope="session")
def start():
    """Starts a command in a process of its own: `start("train", "--seed=1", ...)`. A variable of
    its `environment` that is None is not set there, nor are the devices of the tests."""

    def start_process(command, *arguments, **options):
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": None}
        environment |= options.pop("environment", {})
        environment = {name: value for name, value in environment.items() if value is not None}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        program = [sys.executable, str(ROOT / "launch" / f"{command}.py"), *arguments]
        return subprocess.Popen(program, env=environment, **options)

    return start_process


@pytest.fixture(scope="session")
def run(start):
    """Runs a command to its end; returns `(exit status, stdout, stderr)`."""

    def run_process(command, *arguments, **options):
        with start(command, *arguments, **options) as process:
            stdout, stderr = process.communicate()
        return process.returncode, stdout, stderr

    return run_process
