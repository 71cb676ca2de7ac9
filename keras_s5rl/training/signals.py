"""Ctrl-C that waits for what must not be left half done."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Has the Python handlers of SIGINT and SIGTERM wait for the end of the block.

    Only the main thread runs such handlers; in others nothing needs to wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    current = {number: signal.getsignal(number) for number in _NUMBERS}
    handlers = {number: handler for number, handler in current.items() if callable(handler)}
    received: list[Any] = []
    for number in handlers:
        signal.signal(number, lambda *arguments: received.append(arguments))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in received:
            handlers[number](number, frame)
