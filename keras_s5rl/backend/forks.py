"""Forks of a process whose backend runs: the child has its locks, but not its threads."""

import os
from collections.abc import Callable

_is_orphaned = False


def watch(is_running: Callable[[], bool]) -> None:
    """Notes at each fork from now on whether `is_running()` says that the backend runs already."""

    def after_in_child() -> None:
        global _is_orphaned
        _is_orphaned = _is_orphaned or is_running()

    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=after_in_child)


def check_not_orphaned() -> None:
    """Raises a RuntimeError in the child of a fork that came after the backend had started.

    The next computation would wait there forever, for threads that only the parent has.
    """
    if _is_orphaned:
        raise RuntimeError(
            "This process was forked from one in which the backend (KERAS_BACKEND) was already "
            "running, and could only hang. Start processes afresh: "
            '`gymnasium.vector.AsyncVectorEnv(env_fns, context="spawn")`, or '
            '`multiprocessing.get_context("spawn")`.'
        )
