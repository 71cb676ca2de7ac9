"""What a backend does not do yet."""

import keras


def unavailable(name):
    """Returns a function that raises and says that the learner runs on JAX so far."""

    def raise_not_implemented(*args, **kwargs):
        raise NotImplementedError(
            f"`keras_s5rl.backend.{name}` runs on the JAX backend only so far: set "
            f"KERAS_BACKEND=jax to train. Received: backend={keras.backend.backend()!r}"
        )

    return raise_not_implemented
