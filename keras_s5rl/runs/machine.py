"""What a measurement was made on: the machine, the software, the date."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    "keras-s5rl",
    "keras",
    "jax",
    "jaxlib",
    "tensorflow",
    "torch",
    "numpy",
    "gymnasium",
)


def machine_block(more_packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Describes this machine and its software, for config.json and benchmark results.

    Nothing is imported to find the versions, so no backend is loaded and no GPU touched.

    Args:
        more_packages: Distributions whose versions are added to those of `PACKAGES`.

    Returns:
        A JSON object: `date` (UTC), `cpu` (model), `cpu_cores` (those this process may use),
        `memory_gib`, `os`, `python`, `versions` (package to version, installed ones only) and
        `git_commit` of the source, None where it is not a git checkout; `-dirty` at its end says
        that files differ from the commit.

    Example:

    >>> sorted(machine_block())
    ['cpu', 'cpu_cores', 'date', 'git_commit', 'memory_gib', 'os', 'python', 'versions']
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cpu_cores": cpu_cores(),
        "memory_gib": _memory_gib(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions((*PACKAGES, *more_packages)),
        "git_commit": _git_commit(),
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_cores() -> int | None:
    """Returns how many cores this process may use; `None` where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # not every system says
        return None


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed copy may lie inside someone else's checkout
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
