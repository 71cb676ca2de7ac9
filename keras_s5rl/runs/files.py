"""Files that are whole or absent: atomic replacement, and JSON with plain, finite numbers."""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_s5rl.typing import StrPath


class RunError(ValueError):
    """What a run left on disk, or was asked to write there, is not as it should be."""


class WriteError(OSError):
    """A run cannot be written any more: the disk is full, or its folder is gone."""


def check_in_place(path: StrPath, descriptor: int) -> None:
    """Raises a WriteError unless `path` leads to the open file: what is written to a file that was
    removed or replaced is lost."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        found = None
    if found is None or not os.path.samestat(found, os.fstat(descriptor)):
        raise WriteError(
            f"{Path(path).name} was removed or replaced while the run was written. "
            f"Received: path={str(path)!r}"
        )


def sync_folder(folder: StrPath) -> None:
    """Makes the names in `folder` (files created, renamed or removed) survive a power cut."""
    if os.name == "nt":  # Windows cannot open a folder, and has no need to
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: StrPath) -> None:
    """Makes the contents of the file at `path` survive a power cut."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: StrPath) -> Iterator[Path]:
    """Writes a file so that at any moment `path` holds its old contents or all of the new.

    Args:
        path: the file to write. Its folder exists.

    Yields:
        A hidden path in the same folder, with the same suffix (so that `model.save` and
        `figure.savefig` choose the same format). Write the file there; when the block ends it is
        flushed to disk and takes the place of `path`. When the block raises, it is removed and
        `path` is left alone.

    Example:

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with replacing(target) as aside:
    ...     _ = aside.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    # The process id keeps two processes that write the same file out of each other's way.
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield aside
        sync_file(aside)
        os.replace(aside, path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def plain(value: Any, name: str = "value") -> Any:
    """Returns `value` as JSON can hold it: numpy scalars and arrays become numbers and lists.

    Args:
        value: None, a bool, number, string, numpy scalar or array, or a list, tuple or dict (with
            string keys) of those.
        name: what an error calls it. Entries inside are called `name.key` and `name[index]`.

    Raises:
        RunError: for NaN, an infinity, a key that is no string, or any other type.

    Example:

    >>> plain({"loss": np.float32(0.5), "shape": (2, np.int64(3)), "seeds": np.arange(2)})
    {'loss': 0.5, 'shape': [2, 3], 'seeds': [0, 1]}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RunError(
                f"`{name}` must be finite: JSON has no NaN and no infinity. "
                f"Write None where there is no number. Received: {name}={value}"
            )
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise RunError(f"`{name}` must have strings as keys. Received: key={key!r}")
        return {key: plain(item, f"{name}.{key}") for key, item in value.items()}
    raise RunError(
        f"`{name}` must be a number, a string, a bool, None, or a list or dict of those; "
        f"convert it first. Received: {name}={value!r} (of type {type(value).__name__})"
    )


def write_json_atomically(path: StrPath, contents: dict[str, Any]) -> None:
    """Writes the dict `contents` to `path` as indented JSON, whole or not at all.

    Raises:
        RunError: when `plain` refuses the contents; nothing is written then.
    """
    path = Path(path)
    contents = plain(contents, path.stem)
    with replacing(path) as aside:
        aside.write_text(json.dumps(contents, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: StrPath) -> dict[str, Any]:
    """Reads a JSON object from `path`.

    Raises:
        RunError: when the file is missing, cannot be read, was cut short, or holds no object.
    """
    path = Path(path)
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.name} is missing. Received: path={str(path)!r}") from None
    except OSError as error:
        raise RunError(
            f"{path.name} cannot be read ({error.strerror}). Received: path={str(path)!r}"
        ) from None
    # ValueError: JSONDecodeError and UnicodeDecodeError; RecursionError: brackets without end.
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{path.name} is not a whole JSON file: it was cut short or altered ({error}). "
            f"Restore it from a copy. Received: path={str(path)!r}"
        ) from None
    if not isinstance(contents, dict):
        raise RunError(f"{path.name} must hold a JSON object. Received: path={str(path)!r}")
    return contents
