"""Times of calls, and how they are reported."""

import statistics
import time


def seconds_of_calls(call, repeats):
    """Returns the seconds of each of `repeats` calls after a first one that may compile."""
    return first_and_later_seconds(call, repeats)[1]


def first_and_later_seconds(call, repeats):
    """Times a call that compiles when it is first made.

    Args:
        call: Function without arguments that returns a structure of tensors.
        repeats: Positive integer, calls after the first.

    Returns:
        The seconds of the first call, and a list of those of the others.
    """
    first, *seconds = [_seconds(call) for _ in range(1 + repeats)]
    return first, seconds


def milliseconds(name, seconds):
    """Returns the dict of median, minimum and maximum: `<name>_ms`, `_min_ms` and `_max_ms`."""
    return {
        f"{name}_ms": 1e3 * statistics.median(seconds),
        f"{name}_min_ms": 1e3 * min(seconds),
        f"{name}_max_ms": 1e3 * max(seconds),
    }


def rates(name, values):
    """Returns the dict `<name>_median`, `<name>_min` and `<name>_max`."""
    return {
        f"{name}_median": statistics.median(values),
        f"{name}_min": min(values),
        f"{name}_max": max(values),
    }


def _seconds(call):
    from keras_s5rl import backend

    started = time.perf_counter()
    backend.wait_until_ready(call())
    return time.perf_counter() - started
