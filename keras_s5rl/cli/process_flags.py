"""The flags of a training by several processes, how they start and how each of them ends."""

import contextlib
import os
import sys
from collections.abc import Callable

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.runs import Checkpoints, RunDirectory, RunError

_OF_PROCESS = ("coordinator_address", "num_processes", "process_id")


def define_process_flags(values: FlagValues) -> None:
    flags.DEFINE_boolean(
        "distributed",
        False,
        "on JAX: train with the other processes of this job of Slurm, Open MPI or Kubernetes",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator_address",
        None,
        "on JAX: train with processes that are started by hand; host:port of process 0",
        flag_values=values,
    )
    command.define_count_flag(values, "num_processes", None, "how many processes train together")
    define_integer(
        "process_id", None, "number of this process among them; from 0", values, lower_bound=0
    )


def are_several(values: FlagValues) -> bool:
    """Whether the flags say that several processes train together.

    Raises:
        UsageError: If they contradict each other.
    """
    given = [name for name in _OF_PROCESS if values[name].value is not None]
    received = ", ".join(f"{name}={values[name].value}" for name in ("distributed", *given))
    if given and (values.distributed or len(given) < len(_OF_PROCESS)):
        raise UsageError(
            "`distributed` should be given alone, where JAX finds the other processes, or else "
            f"{', '.join(f'`{name}`' for name in _OF_PROCESS)} together. Received: {received}"
        )
    if given and values.process_id >= values.num_processes:
        raise UsageError(f"`process_id` should be below `num_processes`. Received: {received}")
    return bool(values.distributed or given)


def join_processes(values: FlagValues, num_devices: int) -> None:
    """Joins the processes that train together, if there are several; to be called before anything
    starts JAX.

    Args:
        values: `absl.flags.FlagValues`.
        num_devices: Positive integer, devices of all of them.

    Raises:
        UsageError: If they cannot be joined.
    """
    if not are_several(values):
        return
    from keras_s5rl import backend

    try:
        backend.processes.start(num_devices, *(values[name].value for name in _OF_PROCESS))
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None


def mistake_of_all(error: Exception) -> UsageError:
    """Returns an error as a mistake on the command line; if all processes refuse to train for it,
    they leave each other first, and each can end as it would alone."""
    from keras_s5rl import backend
    from keras_s5rl.training.processes import RefusedError

    if isinstance(error, RefusedError):
        backend.processes.leave()
    return UsageError(error)


def end_process(run: Callable[[], int]) -> int:
    """Returns the exit status of a command. Where it ends while this process still belongs to
    several, the process ends at once: Python's own end would wait for the others, which may be gone
    or wait for this one."""
    try:
        status = run()
    except SystemExit as stop:
        _end_if_joined(stop.code if isinstance(stop.code, int) else 1)
        raise
    _end_if_joined(status)
    return status


def _end_if_joined(status: int) -> None:
    if "keras_s5rl.backend" not in sys.modules:
        return
    from keras_s5rl import backend

    if backend.processes.is_joined():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None
                stream.flush()
        os._exit(status)


def how_to_go_on(run_dir: str) -> str:
    """Says, of a run one of whose processes was lost, where it can go on."""
    way = f"go on with --resume --run_dir={run_dir}, with as many processes as there are"
    try:
        steps = Checkpoints(RunDirectory.open(run_dir).checkpoints_dir).steps()
    except (OSError, RunError):  # another host's, or it was never there
        return f"Process 0 has the checkpoints; {way}"
    last = f"The last checkpoint is of update {max(steps)}; " if steps else ""
    return f"{last}{way}"
