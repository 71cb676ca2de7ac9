"""The functions of several processes for backends that train in one."""

import keras

from keras_s5rl.typing import Structure


def start(
    num_devices: int,
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Refuses: only JAX does."""
    raise NotImplementedError(
        "`distributed` and `num_processes` should be left out on the backend "
        f"{keras.backend.backend()}; on jax several processes can train together. "
        f"Received: num_processes={num_processes}"
    )


def count() -> int:
    """Returns how many processes run programs together."""
    return 1


def index() -> int:
    """Returns the number of this process, from 0."""
    return 0


def is_joined() -> bool:
    """Whether this process has joined others and not left them yet."""
    return False


def leave() -> None:
    """Leaves the others: there are none."""


def maximum(number: int) -> int:
    """Returns the number."""
    return number


def from_first(data: bytes) -> bytes:
    """Returns the bytes."""
    return data


def gathered(structure: Structure) -> Structure:
    """Returns the structure."""
    return structure
