"""The functions of several devices for backends that run a program on one."""

from collections.abc import Callable, Collection
from typing import Any

import keras

from keras_s5rl.typing import Structure, Tensor


def count() -> int:
    """Returns how many devices can run one program together."""
    return 1


def compile(function: Callable[..., Any], num_devices: int, parts: Collection[str]) -> None:
    """Refuses: only JAX does."""
    raise NotImplementedError(
        f"`num_devices` should be 1 on the backend {keras.backend.backend()}; on jax several "
        f"devices can run a program together. Received: num_devices={num_devices}"
    )


def index() -> int:
    """Returns the number of this device among those that run the program together."""
    return 0


def sum(structure: Structure) -> Tensor:
    """Returns the structure."""
    return structure


def mean(structure: Structure) -> Tensor:
    """Returns the structure."""
    return structure


def gather(structure: Structure) -> Tensor:
    """Returns the structure."""
    return structure


def on_default(tensor: Tensor) -> Tensor:
    """Returns the tensor."""
    return tensor
