"""Processes, on one host or several, that run programs together by JAX's own distribution.

Each runs the same program at the same time: what is called a function of all processes here waits
until each of them has called it, in the same order.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from keras_s5rl.backend.lost_process_error import LostProcessError
from keras_s5rl.typing import Array, Structure, Tensor

# Words of errors of gloo, NCCL and JAX's coordinator about a process that does not answer.
_OF_LOST_PROCESSES = ("gloo", "nccl", "unavailable", "deadline_exceeded", "coordination")


def start(
    num_devices: int,
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Joins the other processes, before JAX starts its devices. A CPU then is as many devices as
    this process is to have, unless `JAX_NUM_CPU_DEVICES` says how many.

    Args:
        num_devices: Positive integer, devices of all processes together.
        coordinator_address: String, `host:port` of process 0; as the others `None` where JAX is to
            find it, in a job of Slurm, Open MPI or Kubernetes.
        num_processes: Positive integer.
        process_id: Integer from 0, the number of this process.

    Raises:
        ValueError: If JAX finds no cluster, cannot join it, or has started before, or if the port
            is taken.
    """
    if process_id == 0 and coordinator_address is not None:
        _check_port(coordinator_address)
    try:
        jax.distributed.initialize(coordinator_address, num_processes, process_id)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            "`distributed` needs a job of Slurm, Open MPI or Kubernetes, or `coordinator_address`, "
            "`num_processes` and `process_id`, of processes that reach each other; and nothing "
            f"that is imported before may start JAX (JAX: {error}). "
            f"Received: coordinator_address={coordinator_address}"
        ) from None
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        from jax._src.distributed import global_state  # `jax.process_count` would start the devices

        jax.config.update("jax_num_cpu_devices", max(1, num_devices // global_state.num_processes))


def count() -> int:
    """Returns how many processes run programs together."""
    return jax.process_count()


def index() -> int:
    """Returns the number of this process, from 0."""
    return jax.process_index()


def is_joined() -> bool:
    """Whether this process has joined others and not left them yet."""
    return jax.distributed.is_initialized()


def leave() -> None:
    """Leaves the others, when all do so; each goes on alone."""
    if is_joined():
        jax.distributed.shutdown()


def maximum(number: int) -> int:
    """Returns the largest of the numbers of all processes."""
    if count() == 1:
        return number
    numbers = np.array(number, "int32")
    return int(np.max(_together(lambda: multihost_utils.process_allgather(numbers))))


def from_first(data: bytes) -> bytes:
    """Returns, in all processes, the bytes of process 0."""
    if count() == 1:
        return data
    array = np.frombuffer(data, "uint8")
    size = _of_first(np.array(array.size, "int32"))
    return _of_first(array if index() == 0 else np.zeros(size, "uint8")).tobytes()


def gathered(structure: Structure) -> Structure:
    """Returns tensors of which each process has a part as ones that each process has as a whole;
    others stay as they are."""
    leaves, definition = jax.tree.flatten(structure)
    parted = [i for i, leaf in enumerate(leaves) if _is_parted(leaf)]
    if parted:
        whole = NamedSharding(leaves[parted[0]].sharding.mesh, PartitionSpec())
        gather = jax.jit(_identity, out_shardings=whole)
        results = _together(lambda: jax.block_until_ready(gather([leaves[i] for i in parted])))
        for i, result in zip(parted, results, strict=True):
            leaves[i] = result
    return definition.unflatten(leaves)


def wait_for(structure: Structure) -> None:
    """Blocks until tensors that all processes compute together are computed."""
    _together(lambda: jax.block_until_ready(structure))


def _of_first(array: Array) -> Array:
    return np.asarray(_together(lambda: multihost_utils.broadcast_one_to_all(array)), array.dtype)


def _together(function: Callable[[], Any]) -> Any:
    """Returns what a function of all processes returns; a process that does not take part any more
    is a LostProcessError.

    It is called in another thread: this one handles signals meanwhile, so that a second Ctrl-C ends
    a process that waits for one that does not answer.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join()
    with losses_named():
        for error in errors:
            raise error
    return results[0]


@contextlib.contextmanager
def losses_named() -> Iterator[None]:
    """Makes of an error of what processes do together a LostProcessError, if it is of that."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not any(word in reason.lower() for word in _OF_LOST_PROCESSES):
            raise
        raise LostProcessError(
            f"A process of the {count()} that train together was lost ({reason[:300]})."
        ) from error


def _check_port(coordinator_address: str) -> None:
    """Raises a ValueError if another program listens there: JAX would crash."""
    _, _, port = coordinator_address.rpartition(":")
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", int(port)))
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(
            "`coordinator_address` should be the host of process 0 and a free port of it, such as "
            f"10.0.0.1:12345 ({error}). Received: coordinator_address={coordinator_address}"
        ) from None


def _identity(tensors: list[Tensor]) -> list[Tensor]:
    return tensors


def _is_parted(tensor: Any) -> bool:
    return (
        isinstance(tensor, jax.Array)
        and not tensor.is_fully_addressable
        and not tensor.is_fully_replicated
    )
