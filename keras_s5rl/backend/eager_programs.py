"""Questions about compiled programs, for backends that know nothing before they run one; and
structures as Keras knows them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_s5rl.typing import Structure, Tensor


def memory_needed(program: Any, *arguments: Any) -> int | None:
    """Returns `None`: not known."""
    return None


def use_compilation_cache() -> None:
    """Does nothing: no compiled program outlives the process."""


def flatten(structure: Structure) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """Returns the tensors of a structure, a list, and the function that makes such a structure of
    a list of tensors."""
    return keras.tree.flatten(structure), functools.partial(keras.tree.pack_sequence_as, structure)


def fetch(structure: Structure) -> Any:
    """Returns a structure of tensors as one of numpy arrays."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, structure)
