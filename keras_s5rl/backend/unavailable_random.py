"""Stands in for the random bits on backends that have none yet: each name raises and says what "
"to do."""

import keras


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError(
        "keras_s5rl.random runs on the JAX backend only so far. Set KERAS_BACKEND=jax, or pass "
        "recorded draws to the environment's "
        f"pure functions. Received: {name} with backend={keras.backend.backend()}"
    )
