"""Memory that programs on the CPU free and ask for again."""

import ctypes
import sys

# Of malloc.h; the values are those of glibc.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory():
    """Has the process keep what it frees; to be called before the backend starts its threads.

    XLA asks for the temporary memory of a program anew in every run. By default large pieces go
    back to Linux after it, which clears page after page when they are asked for again: in a large
    step of training that is as much work as all that is not a product (BUILD_NOTES.md). The largest
    resident memory stays about what it was. Without glibc nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_ARENA_MAX, 1)  # of the others, which threads have, large pieces always go back
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)
