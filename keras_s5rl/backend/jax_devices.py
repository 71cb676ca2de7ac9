"""One program that several devices run together on JAX, each on its part of the data.

The cores of a CPU can be devices too (`JAX_NUM_CPU_DEVICES`). Then each of them computes everything
for its part, where XLA would split one operation after the other among them and leave small ones,
such as the gradient of a small kernel, to one core.
"""

import contextlib
import contextvars
from collections.abc import Callable, Collection, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from keras_s5rl.backend import jax_processes
from keras_s5rl.typing import Structure, Tensor

_AXIS = "devices"
_is_shared = contextvars.ContextVar("is_shared", default=False)  # a program of several devices


def count() -> int:
    """Returns how many devices can run one program together, as many of each process."""
    shares = [len(jax.local_devices(process_index=p)) for p in range(jax.process_count())]
    return min(shares) * len(shares)


def compile(
    function: Callable[..., Any], num_devices: int, parts: Collection[str]
) -> Callable[..., Any]:
    """Returns `function` as one program that several devices run together.

    Args:
        function: `state -> (state, results)`. The state is a dict of structures of tensors, the
            results a structure of tensors. What it returns outside `parts` must be the same on each
            device: `sum` and `mean` make it so.
        num_devices: Integer from 2 to the number of devices, a multiple of the number of processes.
        parts: Names of entries of the state of which each device has its own. Outside of the
            function their tensors have a leading axis `num_devices`.

    Returns:
        The function. Where there are several processes, each calls it at the same time; a state
        that no such function returned is the same in all of them, and each takes its part of it.
    """
    mesh = Mesh(np.array(_chosen(num_devices)), (_AXIS,))

    def run_part(state: dict[str, Any]) -> tuple[dict[str, Any], Tensor]:
        with _shared():
            state, results = function(_map_entries(state, parts, lambda x: x[0]))
        return _map_entries(state, parts, lambda x: x[None]), results

    def specs(state: dict[str, Any]) -> dict[str, Any]:
        return {name: PartitionSpec(_AXIS) if name in parts else PartitionSpec() for name in state}

    def program(state: dict[str, Any]) -> Any:
        return jax.shard_map(
            run_part,
            mesh=mesh,
            in_specs=(specs(state),),
            out_specs=(specs(state), PartitionSpec()),
            check_vma=False,  # a gradient is the device's own until `mean`
        )(state)

    compiled = jax.jit(program)

    def place(structure: Structure, spec: Any) -> Tensor:
        sharding = NamedSharding(mesh, spec)
        return jax.tree.map(lambda tensor: _placed(tensor, sharding), structure)

    def placed(state: dict[str, Any]) -> dict[str, Any]:
        # For a state from elsewhere, the first or one of a checkpoint, JAX would compile it anew.
        return {name: place(state[name], spec) for name, spec in specs(state).items()}

    def call(state: dict[str, Any]) -> Any:
        if jax.process_count() == 1:
            return compiled(placed(state))
        with jax_processes.losses_named():
            results = compiled(placed(state))
        jax_processes.wait_for(results)
        return results

    # As programs of `jax.jit` have it, for `memory_needed`.
    call.lower = lambda state: compiled.lower(placed(state))  # type: ignore[attr-defined]
    return call


def index() -> Tensor:
    """Returns the number of this device among those that run the program together, from 0."""
    return jax.lax.axis_index(_AXIS) if _is_shared.get() else 0


def sum(structure: Structure) -> Tensor:
    """Returns the sums of float32 tensors over the devices that run the program together."""
    return _join(jax.lax.psum, structure)


def mean(structure: Structure) -> Tensor:
    """Returns the means of float32 tensors over the devices that run the program together."""
    return _join(jax.lax.pmean, structure)


def gather(structure: Structure) -> Tensor:
    """Returns tensors whose leading axis joins those of the devices that run the program together,
    in their order."""
    if not _is_shared.get():
        return structure
    # In one piece, as in `_join`.
    flat, restore = ravel_pytree(structure)
    parts = jax.vmap(restore)(jax.lax.all_gather(flat, _AXIS))
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), parts)


def on_default(tensor: Tensor) -> Tensor:
    """Returns a tensor that several devices share as one of the default device alone."""
    if len(tensor.sharding.device_set) == 1:
        return tensor
    return jnp.array(np.asarray(tensor))


def _join(collective: Callable[..., Any], structure: Structure) -> Tensor:
    if not _is_shared.get():
        return structure
    # In one piece: devices wait for each other once.
    flat, restore = ravel_pytree(structure)
    return restore(collective(flat, _AXIS))


def _placed(tensor: Tensor, sharding: Any) -> Tensor:
    # For every tensor in every iteration: asking is quicker than leaving it to `device_put`.
    if tensor.sharding.num_devices == sharding.num_devices:
        return tensor
    if sharding.is_fully_addressable:
        return jax.device_put(tensor, sharding)
    array = np.asarray(tensor)  # without asking the other processes whether theirs is equal
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])


def _chosen(num_devices: int) -> list[Any]:
    """The devices of a program, those of each process side by side."""
    num_processes = jax.process_count()
    share = num_devices // num_processes
    return [
        device
        for process in range(num_processes)
        for device in jax.local_devices(process_index=process)[:share]
    ]


@contextlib.contextmanager
def _shared() -> Iterator[None]:
    token = _is_shared.set(True)
    try:
        yield
    finally:
        _is_shared.reset(token)


def _map_entries(
    state: dict[str, Any], names: Collection[str], function: Callable[..., Any]
) -> dict[str, Any]:
    return {
        name: jax.tree.map(function, value) if name in names else value
        for name, value in state.items()
    }
