"""What the system reports about this process: its age and its memory."""

import ctypes
import os
import resource
import sys
import time

# Of malloc.h: from which size a block is memory of its own, and how much is kept when it is freed.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_SETTLING_S = 0.2  # a program's other threads give its memory back after its result is there
_CALLS = 5


def seconds_since_process_start():
    """Returns the age of the process, `None` where the system does not report it.

    Linux keeps the start of a process as clock ticks after boot, the 22nd field of its stat.
    """
    try:
        with open("/proc/self/stat") as file:
            # The second field, the program's name in parentheses, may hold spaces.
            started = int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def peak_memory_gib():
    """Returns the largest resident memory of the process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 2**30


def memory_of_call_mib(call):
    """Returns the resident memory that a call takes at its peak, beyond what there was before.

    It is `None` where it is unknown: Linux resets its record of the peak when asked to.
    Afterwards large blocks of memory are fresh in each call, which takes time: measure times
    before.

    Args:
        call: Function without arguments that returns a structure of tensors.
    """
    import keras

    from keras_s5rl import backend

    # TensorFlow keeps memory in an allocator of its own, and a GPU's memory is not the process's.
    if keras.backend.backend() == "tensorflow" or not backend.device_name().startswith("cpu"):
        return None
    try:
        # What the allocator keeps from earlier calls is used again and not counted. It is made to
        # keep little, but does so at its own pace: the largest of several calls counts.
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_MMAP_THRESHOLD, 2**16)
        allocator.mallopt(_M_TRIM_THRESHOLD, 0)
        return max(_growth_mib(call, allocator) for _ in range(_CALLS))
    except (AttributeError, OSError):  # another C library, another system
        return None


def _growth_mib(call, allocator):
    from keras_s5rl import backend

    time.sleep(_SETTLING_S)
    allocator.malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = _status_kib("VmRSS")
    backend.wait_until_ready(call())
    return (_status_kib("VmHWM") - before) / 2**10


def _status_kib(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{field}:"))
