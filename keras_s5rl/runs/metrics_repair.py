"""A metrics.jsonl that is missing, short or garbled, made to go with its checkpoint again."""

import hashlib
import os
import shutil
from pathlib import Path

from keras_s5rl.runs.files import replacing
from keras_s5rl.runs.metrics import parse_line
from keras_s5rl.typing import StrPath


def find_damage(path: StrPath, size: int, sha256: str | None) -> str | None:
    """Says what is wrong with the lines that a checkpoint was saved with.

    Args:
        path: metrics.jsonl.
        size: the length in bytes of those lines.
        sha256: their SHA-256, or None of a checkpoint of an earlier version.

    Returns:
        The fault, or None if there is none. What follows those lines is not looked at.
    """
    path = Path(path)
    if not path.is_file():
        return "is missing" if size else None
    with open(path, "rb") as file:
        lines = file.read(size)
    if len(lines) < size:
        return f"has {len(lines)} bytes in place of {size}"
    if sha256 is not None:
        return None if hashlib.sha256(lines).hexdigest() == sha256 else "was altered"
    whole = lines.endswith(b"\n") or not size
    return None if whole and all(map(parse_line, lines.splitlines())) else "was altered"


def repair(path: StrPath, last_update: int) -> Path | None:
    """Keeps the lines that can be read and are of updates up to that of a checkpoint.

    The file as it was found goes to `metrics.damaged_1.jsonl`, or the next free number.

    Args:
        path: metrics.jsonl; may be missing.
        last_update: the update of the checkpoint.

    Returns:
        Where the file as it was found lies now, or None if there was none.
    """
    path = Path(path)
    number = 1
    while os.path.lexists(damaged := path.with_name(f"metrics.damaged_{number}.jsonl")):
        number += 1
    was_there, kept, newest = os.path.lexists(path), [], 0
    if path.is_file():
        with replacing(damaged) as aside:
            shutil.copyfile(path, aside)
        for line in path.read_bytes().splitlines(keepends=True):
            update = (parse_line(line) or {}).get("update")
            if type(update) is int and newest < update <= last_update and line.endswith(b"\n"):
                kept.append(line)
                newest = update
    elif was_there:  # a folder in its place
        os.rename(path, damaged)
    with replacing(path) as aside:
        aside.write_bytes(b"".join(kept))
    return damaged if was_there else None
