"""What the machine can do at best: peak rates, to compare measurements with."""

import concurrent.futures
import functools
import os
import pathlib
import time

import numpy as np

from benchmarks.timing import seconds_of_calls

_COPIED_BYTES = 2**28
_TRIES = 5
# Rows, inner size and columns of the products that are tried: square ones, and one as a layer of
# 256 units takes it. No other was faster on the CPUs that were seen; a GPU asks for larger ones.
_PRODUCTS = [(1024, 1024, 1024), (2048, 2048, 2048), (4096, 256, 256)]
_ACCELERATOR_PRODUCTS = [(8192, 8192, 8192)]


@functools.cache
def copy_bandwidth():
    """Bytes read and written a second by the fastest copy of a large array.

    On a CPU the copy goes from one array to another that were both written before. A program's
    result does not: it is given fresh memory, and where it is large the system has to find and
    clear its pages while the program runs. On a 2-core CPU with pages of 4 KB a program that
    negates 256 MB then moves 5 GB/s where a copy between arrays moves 27. The second is what the
    memory can do, so it is the peak; `fresh_copy_bandwidth` is the first.
    """
    fastest = fresh_copy_bandwidth()
    if _on_cpu():
        fastest = max(fastest, *(_array_copy_bandwidth(n) for n in {1, os.cpu_count()}))
    return fastest


@functools.cache
def fresh_copy_bandwidth():
    """Bytes read and written a second by a program of one pass, its result in fresh memory."""
    from keras import ops

    from keras_s5rl import backend

    num_bytes = _copied_bytes()
    program = backend.compile(ops.negative)
    tensor = ops.convert_to_tensor(np.zeros(num_bytes // 4, "float32"))
    return 2 * num_bytes / min(seconds_of_calls(lambda: program(tensor), _TRIES))


@functools.cache
def product_peak(dtype="float32"):
    """Floating-point operations a second of the fastest product of large matrices.

    Args:
        dtype: String, the dtype of the matrices. Their product is accumulated in float32.
    """
    from keras import ops

    from keras_s5rl import backend

    generator, fastest = np.random.default_rng(0), 0.0
    program = backend.compile(backend.product)
    for rows, inner, columns in _PRODUCTS + ([] if _on_cpu() else _ACCELERATOR_PRODUCTS):
        pair = [
            ops.cast(generator.normal(size=shape).astype("float32"), dtype)
            for shape in ((rows, inner), (inner, columns))
        ]
        seconds = min(seconds_of_calls(functools.partial(program, *pair), _TRIES))
        fastest = max(fastest, 2 * rows * inner * columns / seconds)
    return fastest


def _on_cpu():
    from keras_s5rl import backend

    return backend.device_name().startswith("cpu")


def _array_copy_bandwidth(num_threads):
    """Bytes a second of threads that each copy a part of one array to another."""
    source, target = (np.ones(_copied_bytes() // 4, "float32") for _ in range(2))
    parts = [np.array_split(array, num_threads) for array in (target, source)]
    seconds = []
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        for _ in range(1 + _TRIES):
            started = time.perf_counter()
            list(pool.map(np.copyto, *parts))
            seconds.append(time.perf_counter() - started)
    return 2 * source.nbytes / min(seconds)


def _copied_bytes():
    """Bytes of an array that no cache holds."""
    return max(_COPIED_BYTES, 4 * _largest_cache_bytes())


def _largest_cache_bytes():
    """Linux gives the sizes of the caches as `32768K`; 0 where the system does not."""
    sizes = pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(size.read_text().strip().rstrip("K")) * 1024 for size in sizes), default=0)
