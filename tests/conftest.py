"""Settings that must be in place before a test file imports Keras or a backend."""

import os
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

hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("deterministic")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks as slow what lies beyond the first cases of a test marked `slow_after(number)`."""
    counts = {}
    for item in items:
        marker = item.get_closest_marker("slow_after")
        if marker is not None:
            name = (item.path, item.originalname)
            counts[name] = counts.get(name, 0) + 1
            if counts[name] > marker.args[0]:
                item.add_marker(pytest.mark.slow)
