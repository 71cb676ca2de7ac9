"""Checkpoints: flat dicts of numpy arrays on disk, whole or absent, without pickle."""

import hashlib
import json
import math
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_s5rl.runs.files import (
    RunError,
    plain,
    read_json,
    sync_file,
    sync_folder,
    write_json_atomically,
)
from keras_s5rl.typing import Array, StrPath

FORMAT_VERSION = 1
_NAME = re.compile(r"checkpoint_([0-9]{8,})")
_REPLACED = re.compile(r"\.checkpoint_([0-9]{8,})\.replaced")

_MANIFEST = {  # the other keys that a manifest has, and their types
    "metadata": dict,
    "arrays": dict,
    "arrays_bytes": int,
    "arrays_sha256": str,
}


class Checkpoints:
    """The newest few states of a training, each a folder `checkpoint_<step>`.

    A folder holds `arrays.npz` and `manifest.json` (format_version, step, metadata, dtype and shape
    of each array, SHA-256 of the arrays and of the manifest itself). It is written under a hidden
    name, flushed to disk and renamed, so a crash at any moment leaves the old state or the new one.

    Saving a step makes it the newest: later ones, left by a training that was then resumed from an
    earlier checkpoint, are removed, as are those beyond the newest `keep`.

    Args:
        directory: the folder of the checkpoints; made when the first is saved.
        keep: how many checkpoints stay, at least 1. Defaults to `3`.

    Example:

    >>> import tempfile
    >>> checkpoints = Checkpoints(tempfile.mkdtemp())
    >>> _ = checkpoints.save(12, {"policy/kernel": np.ones((2, 3))}, {"env_steps": 1024})
    >>> step, arrays, metadata, skipped = checkpoints.load_newest()
    >>> step, arrays["policy/kernel"].shape, metadata, skipped
    (12, (2, 3), {'env_steps': 1024}, [])
    """

    def __init__(self, directory: StrPath, keep: int = 3) -> None:
        if keep < 1:
            raise RunError(f"`keep` must be at least 1. Received: keep={keep}")
        self.directory = Path(directory)
        self.keep = keep

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, readable or not, oldest first."""
        return sorted(self._folders())

    def save(self, step: int, arrays: dict[str, Array], metadata: dict[str, Any]) -> Path:
        """Writes one checkpoint, then removes those it makes superfluous.

        Args:
            step: a count that grows, such as the update; at least 0.
            arrays: arrays of any shape and of a boolean or numeric dtype, bfloat16 and its kin
                included; each comes back bit for bit.
            metadata: a JSON object; its numbers must be finite.

        Returns:
            The folder of the checkpoint.

        Raises:
            RunError: for an array or metadata that cannot be stored; nothing is written then.
        """
        if step < 0:
            raise RunError(f"`step` must be at least 0. Received: step={step}")
        arrays = {name: _checked(name, array) for name, array in arrays.items()}
        metadata = plain(metadata, "metadata")
        if not self.directory.is_dir():
            self.directory.mkdir(parents=True)
            sync_folder(self.directory.parent)
        self._remove_stale()

        name = f"checkpoint_{step:08d}"
        aside = self.directory / f".{name}.tmp"
        aside.mkdir()
        try:
            self._write(aside, step, arrays, metadata)
        except BaseException:  # a full disk needs the room
            shutil.rmtree(aside, ignore_errors=True)
            raise

        folder = self.directory / name
        replaced = self.directory / f".{name}.replaced"
        if folder.exists():  # two renames: between them `load_newest` reads the replaced one
            os.rename(folder, replaced)
        os.rename(aside, folder)
        sync_folder(self.directory)

        kept = [other for other in self.steps() if other <= step][-self.keep :]
        for other, path in self._folders().items():
            if other not in kept:
                os.rename(path, self.directory / f".{path.name.strip('.')}.tmp")
        self._remove_stale()
        return folder

    def _write(
        self, aside: Path, step: int, arrays: dict[str, Any], metadata: dict[str, Any]
    ) -> None:
        arrays_path = aside / "arrays.npz"
        _write_arrays(arrays_path, arrays)
        manifest = {
            "format_version": FORMAT_VERSION,
            "step": int(step),
            "metadata": metadata,
            "arrays": {
                key: {"dtype": array.dtype.name, "shape": list(array.shape)}
                for key, array in arrays.items()
            },
            "arrays_bytes": arrays_path.stat().st_size,
            "arrays_sha256": _sha256_of_file(arrays_path),
        }
        manifest["manifest_sha256"] = _sha256_of_manifest(manifest)
        write_json_atomically(aside / "manifest.json", manifest)  # syncs the folder `aside` too

    def load_newest(
        self, below: float = math.inf
    ) -> tuple[int, dict[str, Array], dict[str, Any], list[tuple[str, str]]]:
        """Reads the newest checkpoint that is whole.

        Args:
            below: only checkpoints of smaller steps are read. Defaults to infinity.

        Returns:
            `(step, arrays, metadata, skipped)`: `skipped` names the newer checkpoints that could
            not be read, newest first, each as `(name, reason)`.

        Raises:
            RunError: when there is none that can be read.
        """
        while True:
            skipped = []
            folders = {step: path for step, path in self._folders().items() if step < below}
            for step, folder in sorted(folders.items(), reverse=True):
                try:
                    arrays, metadata = _read(folder, step)
                except (RunError, OSError) as error:
                    skipped.append((f"checkpoint_{step:08d}", str(error)))
                else:
                    return step, arrays, metadata, skipped
            if folders.keys() == {step for step in self._folders() if step < below}:
                break
            # A training that goes on has replaced them all since.
        found = "; ".join(f"{name}: {reason}" for name, reason in skipped)
        raise RunError(
            f"No checkpoint can be read ({found or 'there is none'}). Start a new run in another "
            f"folder. Received: directory={str(self.directory)!r}"
        )

    def newest_metadata(self) -> dict[str, Any] | None:
        """Returns the metadata of the newest checkpoint whose manifest can be read, or None."""
        for step, folder in sorted(self._folders().items(), reverse=True):
            try:
                return _read_manifest(folder, step)["metadata"]
            except (RunError, OSError):
                continue
        return None

    def _folders(self) -> dict[int, Path]:
        """The folder of each step; one that was just being replaced counts if no new one is in."""
        if not self.directory.is_dir():
            return {}
        folders = {}
        for pattern in (_REPLACED, _NAME):
            for path in self.directory.iterdir():
                if match := pattern.fullmatch(path.name):
                    folders[int(match[1])] = path
        return folders

    def _remove_stale(self) -> None:
        """Removes what is hidden and of no use: half-written, removed or replaced checkpoints."""
        in_use = set(self._folders().values())
        for path in self.directory.glob(".checkpoint_*"):
            if path not in in_use:
                _remove(path)


def _checked(name: str, array: Array) -> Array:
    array = np.asarray(array)
    # 1: numpy's own dtypes in native byte order; 2: registered ones, such as ml_dtypes.bfloat16.
    if array.dtype.isbuiltin == 2 or (array.dtype.isbuiltin == 1 and array.dtype.kind in "biufc"):
        return array
    raise RunError(
        f"`arrays[{name!r}]` must be boolean or numeric, in native byte order. "
        f"Received: dtype={array.dtype}"
    )


def _write_arrays(path: Path, arrays: dict[str, Array]) -> None:
    # What np.savez does, which takes the names as keyword arguments and so refuses some of them.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            if array.dtype.isbuiltin == 2:  # the .npy format would forget which dtype it was
                array = np.asarray(array, order="C").view(f"u{array.dtype.itemsize}")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    sync_file(path)


def _remove(path: Path) -> None:
    """Removes a folder, or what was put in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _read_manifest(folder: Path, step: int) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise RunError(f"format_version is {version!r}, and this version reads {FORMAT_VERSION}")
    checksum = manifest.pop("manifest_sha256", None)
    if checksum != _sha256_of_manifest(manifest) or manifest.get("step") != step:
        raise RunError("manifest.json was altered: it does not match its own checksum or its step")
    for name, expected in _MANIFEST.items():
        if type(manifest.get(name)) is not expected:
            raise RunError(f"manifest.json has no `{name}` of type {expected.__name__}")
    return manifest


def _read(folder: Path, step: int) -> tuple[dict[str, Array], dict[str, Any]]:
    manifest = _read_manifest(folder, step)
    path = folder / "arrays.npz"
    if not path.is_file():
        raise RunError("arrays.npz is missing")
    size = path.stat().st_size
    if size != manifest["arrays_bytes"]:
        raise RunError(f"arrays.npz has {size} bytes in place of {manifest['arrays_bytes']}")
    if _sha256_of_file(path) != manifest["arrays_sha256"]:
        raise RunError("arrays.npz was altered: it does not match its SHA-256 in manifest.json")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                name: _read_array(archive, name, **entry)
                for name, entry in manifest["arrays"].items()
            }
    # Its checksum is right, so it was written like this: whatever is wrong, another may do.
    except Exception as error:
        raise RunError(
            f"arrays.npz does not hold what manifest.json says ({type(error).__name__}: {error})"
        ) from error
    return arrays, manifest["metadata"]


def _read_array(archive: zipfile.ZipFile, name: str, dtype: str, shape: list[int]) -> Array:
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.name != dtype:
        import ml_dtypes  # noqa: F401  gives numpy the names bfloat16, float8_e4m3fn, ...

        array = array.view(np.dtype(dtype))
    if list(array.shape) != shape:
        raise ValueError(f"`{name}` has shape {array.shape}, not {shape}")
    return array


def _sha256_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_manifest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
