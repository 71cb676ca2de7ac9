"""SIGTERM for commands that start others."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any, NoReturn


@contextlib.contextmanager
def sigterm_exits() -> Iterator[None]:
    """Makes SIGTERM an exception, as Ctrl-C is, so that what a command started is stopped on the
    way out. The exit status is 143."""
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)
