"""How much memory this process may still take."""

import pathlib
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_PROC = pathlib.Path("/proc")


def available_memory() -> int | None:
    """Returns the bytes of memory that this process may still take, or `None` where the system does
    not report it.

    It is the least of what the machine has left, its swap included, what a container (control
    group) leaves, and what the limit of the process's address space (`ulimit -v`) does.
    """
    known = [_of_machine(), *_of_containers(), _of_address_space()]
    return min((left for left in known if left is not None), default=None)


def _of_machine() -> int | None:
    entries = _entries(_PROC / "meminfo")
    if "MemAvailable" not in entries:
        return None
    return entries["MemAvailable"] + entries.get("SwapFree", 0)


def _of_containers() -> Iterator[int | None]:
    """Of the process's control group and of those that it is in (version 2; version 1 behind)."""
    text = _read(_PROC / "self" / "cgroup") or ""
    own = next((line[3:] for line in text.splitlines() if line.startswith("0::")), "/")
    folder = _CGROUPS / own.lstrip("/")
    while folder == _CGROUPS or _CGROUPS in folder.parents:
        yield _difference(folder / "memory.max", folder / "memory.current")
        folder = folder.parent
    folder = _CGROUPS / "memory"
    yield _difference(folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes")


def _of_address_space() -> int | None:
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError):  # ImportError: Windows
        return None
    taken = _entries(_PROC / "self" / "status").get("VmSize")
    return None if limit == resource.RLIM_INFINITY or taken is None else limit - taken


def _difference(limit: Path, taken: Path) -> int | None:
    try:
        return int(_read(limit) or "") - int(_read(taken) or "")
    except ValueError:  # no such file, or no limit ("max")
        return None


def _entries(path: Path) -> dict[str, int]:
    """Bytes by name of a file of lines `Name:  1234 kB`."""
    lines = (line.split() for line in (_read(path) or "").splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[-1:] == ["kB"]}


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
