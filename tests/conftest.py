"""Settings that must be in place before a test file imports Keras or a backend."""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# JAX and TensorFlow would each take the whole GPU, and neither full float32 on one.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")  # for programs that several devices run together
# Programs compiled by one worker, or by a command that a test starts, serve all others.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

if os.environ["KERAS_BACKEND"] == "torch":
    import torch  # noqa: F401  before TensorFlow, or the process crashes
elif os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")

import hypothesis

hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("deterministic")
