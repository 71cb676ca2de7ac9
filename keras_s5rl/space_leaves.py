"""The parts of a Gymnasium space that hold no other space."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from keras_s5rl.typing import Array, Space

_SPACES = gymnasium.spaces
_SUPPORTED = "Discrete, MultiDiscrete, MultiBinary, Box, or a Dict or Tuple of these"
# Integers up to here are exact in float32, which the values beside a Box are.
_EXACT = 2**24


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box` in a space: itself, or an entry of it.

    Args:
        path: Tuple of the keys and indices that lead to it; empty if it is the whole space.
        space: The Gymnasium space.
        start: Integer, its first column in the tensor of all values.
        flat_start: Integer, its first column in the flattened values.
    """

    path: tuple[Any, ...]
    space: Space
    start: int
    flat_start: int

    @property
    def name(self) -> str:
        """Its path in words, such as `"camera/left"`; empty if it is the whole space."""
        return "/".join(map(str, self.path))

    @functools.cached_property
    def is_box(self) -> bool:
        return isinstance(self.space, _SPACES.Box)

    @functools.cached_property
    def stop(self) -> int:
        """The column behind its last one: it has one for each number of a value."""
        return self.start + int(np.prod(self.space.shape))

    @functools.cached_property
    def flat_stop(self) -> int:
        """The column of the flattened values behind its last one: a class of a `Discrete` or
        `MultiDiscrete` has one, and so has each number of a `MultiBinary` or `Box`."""
        if self.is_box or isinstance(self.space, _SPACES.MultiBinary):
            return self.flat_start + int(np.prod(self.space.shape))
        return self.flat_start + int(self.classes[0].sum())

    @functools.cached_property
    def classes(self) -> tuple[Array, Array]:
        """The number of classes of each column of a discrete leaf, and its lowest one."""
        space = self.space
        if isinstance(space, _SPACES.MultiBinary):
            return np.full(space.shape, 2).ravel(), np.zeros(space.shape, int).ravel()
        sizes = space.n if isinstance(space, _SPACES.Discrete) else space.nvec
        return np.ravel(sizes).astype("int64"), np.ravel(space.start).astype("int64")


def leaves(space: Space, name: str = "space") -> tuple[Leaf, ...]:
    """Returns the leaves of a space in Gymnasium's order.

    Args:
        space: Gymnasium space.
        name: String, what it is called in errors. Defaults to `"space"`.

    Raises:
        ValueError: If a part of the space is of another kind, or there is none.
    """
    return _leaves(_ByIdentity(space), name)


class _ByIdentity:
    """A space as a key: it has no hash."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def __hash__(self) -> int:
        return id(self.space)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.space is other.space


@functools.lru_cache(maxsize=64)  # values are converted in every step of an environment
def _leaves(key: _ByIdentity, name: str) -> tuple[Leaf, ...]:
    found: list[Leaf] = []
    for path, part in _parts((), key.space, name):
        start, flat_start = (found[-1].stop, found[-1].flat_stop) if found else (0, 0)
        found.append(Leaf(path, part, start, flat_start))
    if not found:
        raise ValueError(f"`{name}` should have at least one entry. Received: {name}={key.space}")
    return tuple(found)


def _parts(path: tuple[Any, ...], space: Any, name: str) -> Iterator[tuple[tuple[Any, ...], Space]]:
    if isinstance(space, _SPACES.Dict):
        for key, part in space.spaces.items():
            yield from _parts((*path, key), part, name)
    elif isinstance(space, _SPACES.Tuple):
        for index, part in enumerate(space.spaces):
            yield from _parts((*path, index), part, name)
    elif isinstance(
        space, _SPACES.Discrete | _SPACES.MultiDiscrete | _SPACES.MultiBinary | _SPACES.Box
    ):
        yield path, space
    elif path:
        entry = "/".join(map(str, path))
        raise ValueError(
            f"`{name}` should be {_SUPPORTED}. Leave its entry {entry} out, or describe it by one "
            f"of these. Received: {entry}={space}"
        )
    else:
        raise ValueError(
            f"`{name}` should be {_SUPPORTED}. Describe observations and actions by one of these. "
            f"Received: {name}={space}"
        )


def check_leaves(space: Space, name: str) -> None:
    """Raises a ValueError unless a space has leaves, and each has numbers, and room for finite
    values that its tensor can hold."""
    found = leaves(space, name)
    limit = _EXACT if any(leaf.is_box for leaf in found) else 2**31
    for leaf in found:
        low, high = _bounds(leaf)
        if low.size == 0:
            expected = "have at least one number in each entry"
        elif not np.all((low <= high) & (low < np.inf) & (high > -np.inf)):
            expected = (
                "have lower bounds that are not above the upper ones, and room for finite numbers "
                "between them"
            )
        elif not leaf.is_box and not np.all((low >= -limit) & (high < limit)):
            expected = f"have classes from -{limit} to {limit - 1}, which its tensor holds exactly"
        else:
            continue
        received = f"{leaf.name}={leaf.space}" if leaf.path else f"low={low}, high={high}"
        raise ValueError(f"`{name}` should {expected}. Received: {received}")


def _bounds(leaf: Leaf) -> tuple[Array, Array]:
    if leaf.is_box:
        return leaf.space.low, leaf.space.high
    sizes, starts = leaf.classes
    return starts, starts + sizes - 1
