"""The lock of a run: one process writes into its folder."""

import os
import platform
import stat
import weakref
from pathlib import Path

from keras_s5rl.runs import console
from keras_s5rl.runs.files import RunError, check_in_place
from keras_s5rl.typing import StrPath

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # asked for where it is used


class RunLock:
    """Held from its making until `release`, or until the process ends, however it ends.

    The operating system keeps the lock (`flock` on a file that names the holder), so a killed
    process leaves none behind. Processes that this one starts do not hold it.

    Args:
        path: the file to lock, made if it is not there; its folder exists. `release` removes it.

    Raises:
        RunError: when another process, or another lock of this one, holds it.
        OSError: when the file cannot be made.

    Example:

    >>> import tempfile
    >>> lock = RunLock(Path(tempfile.mkdtemp()) / ".lock")
    >>> lock.check()
    >>> lock.release()
    >>> lock.path.exists()
    False
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._descriptor = _lock(self.path)
        # Closing gives the lock back. A lock that is forgotten is given back, too.
        self._close = weakref.finalize(self, os.close, self._descriptor)
        _held.add(self)

    def check(self) -> None:
        """Raises a WriteError when the folder or the file is no longer the one that was locked."""
        check_in_place(self.path, self._descriptor)

    def release(self) -> None:
        """Gives the lock back. Doing so again does nothing."""
        if not self._close.alive:
            return
        try:
            self.check()
            self.path.unlink()  # held still, so this is the file of no other process
        except OSError:  # gone, or not to be written to any more: closing is what counts
            pass
        self._close()

    def _forget(self) -> None:
        """In a forked child: it must not keep the lock when its parent has ended."""
        self._close()


_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _forget_locks() -> None:
    for lock in list(_held):
        lock._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


def _lock(path: Path) -> int:
    """Returns the descriptor of the file, which is locked and lies at `path`."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RunError(f"{path.name} must be a file. Received: path={str(path)!r}")
            _flock(path, descriptor)
            try:
                check_in_place(path, descriptor)
            except OSError:  # removed by the process that gave it back just now
                os.close(descriptor)
                continue
        except BaseException:
            os.close(descriptor)
            raise
        _write_holder(descriptor)
        return descriptor


def _flock(path: Path, descriptor: int) -> None:
    try:
        if fcntl is None:
            raise OSError("it has no fcntl")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        raise RunError(
            f"`run_dir` is in use by {holder or 'another process'}, which trains there. Wait until "
            f"it ends, stop it, or choose another folder. Received: run_dir={str(path.parent)!r}"
        ) from None
    except OSError as error:
        console.write(
            f"warning: this system cannot lock {path} ({error.strerror or error}); see to it that "
            "no other process trains in that folder"
        )


def _write_holder(descriptor: int) -> None:
    text = f"process {os.getpid()} on {platform.node() or 'this machine'}\n"
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())
    except OSError:  # a full disk: the lock holds all the same
        pass
