"""A line about the backend, where a training does not use the fastest one."""

import functools

import keras

from keras_s5rl.runs import console


@functools.cache
def report_backend() -> None:
    """Reports once in a process which backend trains, and how to choose, unless it is JAX."""
    name = keras.backend.backend()
    if name != "jax":
        console.write(
            f"keras_s5rl trains on the Keras backend {name}; jax is the fastest. The environment "
            "variable KERAS_BACKEND chooses, set before Keras is imported"
        )
