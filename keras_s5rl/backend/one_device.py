"""The functions of several devices for backends that run a program on one."""

import keras


def num_devices():
    """Returns how many devices can run one program together."""
    return 1


def compile_on_devices(function, num_devices, parts):
    """Refuses: only JAX does."""
    raise NotImplementedError(
        f"`num_devices` should be 1 on the backend {keras.backend.backend()}; on jax several "
        f"devices can run a program together. Received: num_devices={num_devices}"
    )


def device_index():
    """Returns the number of this device among those that run the program together."""
    return 0


def sum_over_devices(structure):
    """Returns the structure."""
    return structure


def mean_over_devices(structure):
    """Returns the structure."""
    return structure


def on_default_device(tensor):
    """Returns the tensor."""
    return tensor
