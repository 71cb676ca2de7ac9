"""Compiled programs that are used again."""

from collections.abc import Callable, Hashable
from typing import Any

_LIMIT = 16  # programs of other sizes and environments take memory


class Programs:
    """The programs that were used last, by what they were compiled for."""

    def __init__(self) -> None:
        self._programs: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Returns the program of a hashable key; `make()` makes the ones that are not there."""
        program = self._programs.pop(key) if key in self._programs else make()
        self._programs[key] = program
        while len(self._programs) > _LIMIT:
            self._programs.pop(next(iter(self._programs)))
        return program
