"""What the machine can do at best: the roofs under which measurements stand."""

import functools
import time

import numpy as np

_COPIED_BYTES = 2**28
_ROWS = 4096
_TRIES = 5


@functools.cache
def copy_bandwidth():
    """Bytes read and written a second by the fastest pass over a large array."""
    from keras import ops

    array = np.zeros(_COPIED_BYTES // 4, "float32")
    return 2 * _COPIED_BYTES / _fastest(lambda x: ops.negative(x), array)


@functools.cache
def product_peak():
    """Floating-point operations a second of the fastest product of large float32 matrices."""
    from keras import ops

    matrix = np.random.default_rng(0).normal(size=(_ROWS, _ROWS)).astype("float32")
    return 2 * _ROWS**3 / _fastest(lambda x: ops.matmul(x, x), matrix)


def _fastest(function, array):
    """Seconds of the fastest call."""
    from keras import ops

    from keras_s5rl import backend

    program, tensor = backend.compile(function), ops.convert_to_tensor(array)
    return min(seconds_of_calls(lambda: program(tensor), _TRIES))


def seconds_of_calls(call, repeats):
    """Returns the seconds of each of `repeats` calls after a first one that may compile."""
    from keras_s5rl import backend

    backend.wait_until_ready(call())
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        backend.wait_until_ready(call())
        seconds.append(time.perf_counter() - started)
    return seconds
