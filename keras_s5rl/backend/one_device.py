"""The functions of several devices for backends that run a program on one."""

import keras


def count():
    """Returns how many devices can run one program together."""
    return 1


def compile(function, num_devices, parts):
    """Refuses: only JAX does."""
    raise NotImplementedError(
        f"`num_devices` should be 1 on the backend {keras.backend.backend()}; on jax several "
        f"devices can run a program together. Received: num_devices={num_devices}"
    )


def index():
    """Returns the number of this device among those that run the program together."""
    return 0


def sum(structure):
    """Returns the structure."""
    return structure


def mean(structure):
    """Returns the structure."""
    return structure


def gather(structure):
    """Returns the structure."""
    return structure


def on_default(tensor):
    """Returns the tensor."""
    return tensor
