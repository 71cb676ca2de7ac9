"""Programs that JAX has compiled once, kept for later processes in the user's cache folder."""

import functools
import hashlib
import os
import pathlib
import platform

import jax
from jax.experimental.compilation_cache import compilation_cache


@functools.cache
def use_compilation_cache() -> None:
    """Has JAX keep the programs that it compiles from now on, so that a second process with the
    same settings starts in seconds.

    The folder is `keras_s5rl/jax-...` in `XDG_CACHE_HOME`, by default `~/.cache`, one for each kind
    of processor. What the user set goes first: `JAX_COMPILATION_CACHE_DIR` names another
    folder, `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing. Where no folder can be made nothing
    is kept.
    """
    config = jax.config
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    try:
        caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        folder = caches / "keras_s5rl" / f"jax-{_processor()}"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    config.update("jax_compilation_cache_dir", str(folder))
    # Without these only programs that took a second to compile are kept.
    for name, value in (
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        if name.upper() not in os.environ:
            config.update(name, value)
    compilation_cache.reset_cache()  # JAX asks once, before its first program, for a folder


def _processor() -> str:
    """A short name for the instructions that the processor knows: home folders are shared by
    machines, and a program for one may not run on another."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        known = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        known = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {known}".encode()).hexdigest()[:8]
