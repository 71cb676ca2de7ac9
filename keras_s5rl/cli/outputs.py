"""Whether a file or folder that a command is to write can be written."""

import os
import pathlib
import stat
from typing import Any

from keras_s5rl.cli.command import UsageError
from keras_s5rl.runs.figures import check_format


def check_output_file(name: str, path: Any) -> None:
    """Raises a `UsageError` if no file can be written there: before the work, not after it."""
    folder = pathlib.Path(path).absolute().parent
    reason = _obstacle(path)
    if reason is None and not os.access(folder, os.W_OK | os.X_OK):
        reason = "its folder is not there or cannot be written to"
    if reason is not None:
        raise UsageError(
            f"`{name}` should be a file in a folder that exists and can be written to ({reason}). "
            f"Received: {name}={path}"
        )


def check_picture_file(name: str, path: Any) -> None:
    """Raises a `UsageError` if no picture can be written there, or of the format that it names."""
    try:
        check_format(path)
    except ValueError as error:
        raise UsageError(error) from None
    check_output_file(name, path)


def check_output_folder(name: str, path: Any) -> None:
    """Raises a `UsageError` if no folder can be made or written to there."""
    existing: pathlib.Path | None = pathlib.Path(path).absolute()
    reason: Any = "it cannot be written to"
    try:
        os.stat(path)
    except FileNotFoundError:
        parents = pathlib.Path(path).absolute().parents
        existing = next(parent for parent in parents if os.path.lexists(parent))
    except OSError as error:
        existing, reason = None, error.strerror
    if existing is None or not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UsageError(
            f"`{name}` should be a folder that can be written to, or made ({reason}). "
            f"Received: {name}={path}"
        )


def _obstacle(path: Any) -> str | None:
    """Says why a path cannot be a file to write, or returns `None`."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "there is something else than a file"
    except FileNotFoundError:
        pass
    except OSError as error:
        return error.strerror
    try:
        os.stat(f"{path}{'.' * 12}")  # it is written under a longer name first
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror
    return None
