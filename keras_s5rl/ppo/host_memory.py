"""Memory that is not there: found before a program runs, and named by what takes it."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_s5rl import backend

_RESERVE = 64 * 2**20  # bytes that the libraries take besides a program


def check_memory(program: Any, arguments: Sequence[Any], settings: Mapping[str, Any]) -> None:
    """Raises a ValueError if there is less memory than a compiled program takes to run.

    On a CPU XLA would wait forever for memory that it does not get. The program is compiled here,
    so that its first call is not slower than the others.

    Args:
        program: Of `backend.compile` or `backend.devices.compile`.
        arguments: Its arguments, a sequence.
        settings: Dict of what its size depends on, by name.
    """
    needed, available = backend.memory_needed(program, *arguments), backend.available_memory()
    if needed is None or available is None or needed + _RESERVE <= available:
        return
    raise ValueError(
        f"{_names(settings)} should be smaller: with these a program takes {_gib(needed)} of "
        f"memory, of which {_gib(available)} are left. Received: {_values(settings)}"
    )


@contextlib.contextmanager
def memory_errors_named(settings: Mapping[str, Any]) -> Iterator[None]:
    """Makes of an allocation that fails in the block a ValueError that names what to lower."""
    try:
        yield
    except Exception as error:
        if not backend.ran_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or "no memory is left"
        raise ValueError(
            f"{_names(settings)} should be smaller: memory could not be allocated ({reason}). "
            f"Received: {_values(settings)}"
        ) from error


def _names(settings: Mapping[str, Any]) -> str:
    *names, last = [f"`{name}`" for name in settings]
    return f"{', '.join(names)} or {last}" if names else last


def _values(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _gib(size: float) -> str:
    return f"{max(size, 0) / 2**30:,.1f} GiB"
