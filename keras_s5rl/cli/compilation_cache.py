"""Programs that JAX has compiled once, kept for later runs in the user's cache folder."""

import hashlib
import os
import pathlib
import platform


def use_compilation_cache():
    """Has JAX keep its compiled programs, so that a second run with the same settings starts in
    seconds; to be called before JAX is imported.

    The folder is `keras_s5rl/jax-...` in `XDG_CACHE_HOME`, by default `~/.cache`, one for each kind
    of processor. JAX's own variables go first: `JAX_COMPILATION_CACHE_DIR` names another folder,
    `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing. Where no folder can be made nothing is kept.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        folder = caches / "keras_s5rl" / f"jax-{_processor()}"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return
    if os.access(folder, os.W_OK | os.X_OK):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        # Without these only programs that took a second to compile are kept.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def _processor():
    """A short name for the instructions that the processor knows: home folders are shared by
    machines, and a program for one may not run on another."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        known = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        known = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {known}".encode()).hexdigest()[:8]
