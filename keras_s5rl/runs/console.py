"""Lines for people, on streams that may be closed, full or broken."""

import os
import sys
from typing import Any, TextIO


def write(line: str, stream: TextIO | None = None) -> bool:
    """Prints a line at once; a stream that does not take it is no reason to stop.

    What the terminal cannot show, such as an umlaut in an ASCII locale, is escaped.

    Args:
        line: the text, without its line end.
        stream: where to. Defaults to the standard error stream.

    Returns:
        Whether the stream took the line.
    """
    stream = sys.stderr if stream is None else stream
    if stream is None:  # Python starts so where the descriptor is closed
        return False
    try:
        try:
            print(line, file=stream, flush=True)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            escaped = line.encode(encoding, "backslashreplace").decode(encoding)
            print(escaped, file=stream, flush=True)
    except (OSError, ValueError):  # ValueError: the stream was closed
        return False
    return True


def open_standard_descriptors() -> None:
    """Opens the null device as each standard stream that is closed.

    Otherwise the next file that is opened gets its number, and what a library writes to the
    standard error stream ends in that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one


def drop_unwritten() -> None:
    """Drops what the standard streams did not take: Python would end with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # AttributeError: it is None
            _redirect_to_null(stream)


def _redirect_to_null(stream: Any) -> None:
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):  # closed, or no file
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
