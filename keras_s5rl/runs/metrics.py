"""metrics.jsonl: one line of numbers per update."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_s5rl.runs.files import RunError, check_in_place, plain
from keras_s5rl.typing import Array, StrPath


class MetricsLog:
    """Appends updates to a JSON-lines file, and cuts it back to a checkpoint.

    Each line goes out in one write and is seen by readers at once. A last line that a crash left
    half written is cut off when the file is opened. A file that was removed or replaced while it is
    open is not written any more.

    Args:
        path: the file; made if it does not exist.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> with MetricsLog(path) as log:
    ...     log.append({"update": 1, "episode_return_mean": None})
    ...     size = log.size
    ...     log.append({"update": 2, "episode_return_mean": 0.5})
    ...     log.truncate(size)
    >>> path.read_text()
    '{"update": 1, "episode_return_mean": null}\\n'
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115  closed by `close`
        self._cut(_end_of_whole_lines(self._file))

    @property
    def size(self) -> int:
        """The length of the file in bytes: what a checkpoint stores to `truncate` to."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written: what a checkpoint stores to know the lines again."""
        return self._hash.hexdigest()

    def append(self, metrics: dict[str, Any]) -> None:
        """Writes one line.

        Args:
            metrics: name to number, None (no value in this update) or list of those (one entry per
                seed); numpy scalars and arrays will do.

        Raises:
            RunError: when a number is NaN or infinite; nothing is written then.
            WriteError: when the file was removed or replaced.
        """
        line = json.dumps({name: plain(value, name) for name, value in metrics.items()})
        check_in_place(self.path, self._file.fileno())
        self._write(line.encode() + b"\n")

    def truncate(self, size: int) -> None:
        """Cuts the file back to its first `size` bytes.

        Raises:
            RunError: when the file is shorter, or byte `size` is not the end of a line.
        """
        whole = size == 0
        if 0 < size <= self.size:
            self._file.seek(size - 1)
            whole = self._file.read(1) == b"\n"
        if not whole:
            raise RunError(
                f"`size` must be the end of a line of {self.path.name}, which has {self.size} "
                "bytes: the file is not the one the checkpoint was saved with. "
                f"Received: size={size}"
            )
        self._cut(size)

    def sync(self) -> None:
        """Makes the lines so far survive a power cut; call it before a checkpoint stores `size`."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        start = self.size
        written = self._file.write(line)
        if written != len(line):  # a full disk
            self._cut(start)
            raise OSError(f"{self.path} took {written} of {len(line)} bytes: is the disk full?")
        self._hash.update(line)

    def _cut(self, size: int) -> None:
        self._file.truncate(size)
        self._file.seek(0)
        self._hash = hashlib.file_digest(self._file, "sha256")


def read_metrics(path: StrPath) -> dict[str, Array | list[Any]]:
    """Reads metrics.jsonl into columns.

    Args:
        path: the file. A half-written last line is passed over: a run may be writing it just now.

    Returns:
        Name to values, one per update. Whole numbers are an int64 array `(updates,)`, other numbers
        a float64 array `(updates,)`, lists of numbers a float64 array `(updates, seeds)`; null and
        a name missing from a line are NaN. What is none of these stays a list.

    Raises:
        RunError: when there is no such file, it cannot be read, or another line is not a JSON
            object.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is unfinished
    except FileNotFoundError:
        raise RunError(f"There is no such file. Received: path={str(path)!r}") from None
    except OSError as error:
        raise RunError(
            f"{path.name} cannot be read ({error.strerror}). Received: path={str(path)!r}"
        ) from None
    rows = []
    for number, line in enumerate(lines, start=1):
        row = parse_line(line)
        if row is None:
            raise RunError(f"Line {number} is not a JSON object. Received: path={str(path)!r}")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column([row.get(name) for row in rows]) for name in names}


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Returns the JSON object in a line, or None where there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _column(values: list[Any]) -> Array | list[Any]:
    try:
        if all(type(value) is int for value in values):
            return np.array(values, np.int64)
        return np.array(_without_gaps(values), np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        return values


def _without_gaps(values: list[Any]) -> list[Any]:
    """In a column of lists, lists of None where a line has none."""
    sizes = [len(value) for value in values if isinstance(value, list)]
    return [[None] * max(sizes) if sizes and value is None else value for value in values]


def _end_of_whole_lines(file: Any) -> int:
    """The number of bytes up to and with the last line end."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
