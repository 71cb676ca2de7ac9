"""The backend functions on JAX."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge
from jax.experimental import io_callback

from keras_s5rl.backend import jax_devices, jax_processes, jax_random
from keras_s5rl.backend.jax_compilation_cache import use_compilation_cache as use_compilation_cache
from keras_s5rl.backend.jax_derivatives import custom_derivatives as custom_derivatives
from keras_s5rl.backend.jax_kernels import product as product
from keras_s5rl.backend.jax_kernels import scan_in_place as scan_in_place
from keras_s5rl.backend.jax_packing import Layout
from keras_s5rl.typing import Structure, Tensor

# The names of a backend, beside the functions below and what is imported under its own name
devices = jax_devices
processes = jax_processes
random = jax_random

_host = threading.Lock()  # programs run at the same time, and simulators take one call at a time


def compile(
    function: Callable[..., Any], donate_argnums: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Returns `function` as one XLA program; the buffers of donated arguments are reused for its
    results."""
    return jax.jit(function, donate_argnums=donate_argnums)


def memory_needed(program: Any, *arguments: Any) -> int | None:
    """Compiles a program of `compile` or `devices.compile` for these arguments, and returns the
    bytes of host memory that it will take to run it, beside the arguments.

    On a GPU, whose allocations fail with an error, these are not asked for: `None`.
    """
    analysis = program.lower(*arguments).compile().memory_analysis()
    if jax.default_backend() != "cpu" or analysis is None:
        return None
    sizes = analysis.output_size_in_bytes + analysis.temp_size_in_bytes
    return sizes - analysis.alias_size_in_bytes


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory could not be allocated."""
    is_jax = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return is_jax or isinstance(error, MemoryError)


def abstract_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns the shapes and dtypes of `function(*arguments)`: it is traced, and not compiled."""
    return jax.eval_shape(function, *arguments)


def flatten(structure: Any) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """Returns the tensors of a structure, a list, and the function that makes such a structure of
    a list of tensors."""
    leaves, definition = jax.tree.flatten(structure)
    return leaves, definition.unflatten


def scan(
    function: Callable[..., Any],
    carry: Structure,
    xs: Structure,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Structure, Structure]:
    """Runs `carry, y_t = function(carry, x_t)` along the leading axis of the structure `xs`;
    returns `carry, ys`.

    Called eagerly it is a loop in Python: JAX would compile the function anew in every call.
    """
    leaves = jax.tree.leaves(xs)
    length = leaves[0].shape[0] if length is None else length
    if _is_traced() or length == 0:
        return jax.lax.scan(function, carry, xs, length=length, reverse=reverse)
    history = []
    for step in reversed(range(length)) if reverse else range(length):
        carry, y = function(carry, jax.tree.map(lambda x, step=step: x[step], xs))
        history.append(y)
    history = history[::-1] if reverse else history
    return carry, jax.tree.map(lambda *values: jnp.stack(values), *history)


def packed_scan(
    function: Callable[..., Any], carry: Structure, xs: Structure
) -> tuple[Structure, Structure]:
    """`scan`; on a GPU with all that a step reads of `xs`, and all that it leaves, in one array
    each. No gradient goes through it there."""
    if jax.default_backend() != "gpu" or not _is_traced():
        return scan(function, carry, xs)
    read = Layout(jax.eval_shape(lambda xs: jax.tree.map(lambda x: x[0], xs), xs))
    left: list[Layout] = []

    def step(carry: Structure, packed: Any) -> Any:
        carry, y = function(carry, read.unpack(*packed))
        left[:] = [Layout(y)]
        return carry, left[0].pack(y)

    carry, packed = scan(step, carry, read.pack(xs, leading_axes=1))
    return carry, left[0].unpack(*packed)


def cond(predicate: Tensor, true_fn: Callable[..., Any], false_fn: Callable[..., Any]) -> Any:
    """Returns `true_fn()` or `false_fn()`; only the chosen branch is run."""
    if _is_traced() or isinstance(predicate, jax.core.Tracer):
        return jax.lax.cond(predicate, true_fn, false_fn)
    return true_fn() if predicate else false_fn()


def _is_traced() -> bool:
    """Whether a program is being made here; otherwise JAX runs each operation by itself."""
    return isinstance(jnp.zeros(()), jax.core.Tracer)


def value_and_gradients(function: Callable[..., Any], values: Any) -> tuple[Any, Any]:
    """Returns `(value, auxiliary), gradients` of `function(values) -> (value, auxiliary)`.

    The value is a scalar tensor, `gradients` a list like `values`.
    """
    return jax.value_and_grad(function, has_aux=True)(values)


def gradient_step(
    loss_fn: Callable[..., Any],
    optimizer: Any,
    trainable_values: Sequence[Tensor],
    optimizer_values: Sequence[Tensor],
) -> tuple[Sequence[Tensor], Sequence[Tensor], Tensor, Any, Tensor]:
    """One step of a Keras optimizer, as a pure function.

    Args:
        loss_fn: `trainable_values -> (loss, auxiliary)`, the loss a scalar tensor.
        optimizer: A built `keras.optimizers.Optimizer`.
        trainable_values: List of tensors, one for each trainable variable.
        optimizer_values: List of tensors, one for each of `optimizer.variables`.

    Returns:
        `trainable_values, optimizer_values, loss, auxiliary, gradient_norm`, the norm before any
        clipping. Among several devices the step is that of the mean gradient, loss and auxiliary
        are of this one.
    """
    (loss, auxiliary), gradients = value_and_gradients(loss_fn, trainable_values)
    gradients = devices.mean(gradients)
    gradient_norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
    trainable_values, optimizer_values = optimizer.stateless_apply(
        optimizer_values, gradients, trainable_values
    )
    return trainable_values, optimizer_values, loss, auxiliary, gradient_norm


def host_call(function: Callable[..., Any], like: Any, *arguments: Tensor) -> Any:
    """Calls a function of numpy arrays on the host, from compiled code too.

    Args:
        function: Takes numpy arrays and returns the structure of `like`. It should be pure: it may
            be called more than once, or never if its results are not used. Under `vmap` it is
            called for one after the other. It must not use JAX, which may be waiting for it.
        like: Structure of arrays, or of anything with `shape` and `dtype`: those of the results.
        *arguments: Tensors.

    Returns:
        The results as tensors, in the structure of `like`.
    """

    return jax.pure_callback(
        _of_numpy(function), _shapes(like), *arguments, vmap_method="sequential"
    )


def ordered_host_call(function: Callable[..., Any], like: Any, *arguments: Tensor) -> Any:
    """Calls a function of numpy arrays that has effects on the host, from compiled code too.

    The call is made exactly once each time that the program comes to it, its results used or not,
    and all such calls of a program are made in its order. It runs on one device, and not under
    `vmap`.

    Args:
        function: Takes numpy arrays and returns the structure of `like`. It must not use JAX, which
            may be waiting for it.
        like: Structure of arrays, or of anything with `shape` and `dtype`: those of the results.
        *arguments: Tensors.

    Returns:
        The results as tensors, in the structure of `like`.
    """
    return io_callback(_of_numpy(function), _shapes(like), *arguments, ordered=True)


def _of_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arrays: Any) -> Any:
        converted = [np.asarray(array) for array in arrays]
        with _host:
            return function(*converted)

    return call


def _shapes(like: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), like)


def is_running() -> bool:
    """Returns whether JAX has started, with threads that a fork does not copy."""
    return xla_bridge.backends_are_initialized()


def wait_until_ready(structure: Structure) -> Any:
    """Blocks until every tensor of `structure` has been computed; returns the structure."""
    return jax.block_until_ready(structure)


def fetch(structure: Structure) -> Any:
    """Returns a structure of tensors as one of numpy arrays; all come from the device together."""
    return jax.device_get(structure)


def any_copy(flag: Tensor) -> Tensor:
    """Returns a boolean scalar; under `vmap` whether it is true in any of the copies.

    A branch on it stays a branch: on a scalar of each copy's own, all copies would compute both
    sides in every step.
    """
    return _any_copy(flag)


_any_copy: Any = jax.custom_batching.custom_vmap(lambda flag: flag)
_any_copy.def_vmap(lambda axis_size, in_batched, flags: (jnp.any(flags), False))


def device_name() -> str:
    """Returns the default device in words, such as `"cpu"` or `"gpu: NVIDIA H200"`."""
    device = jax.devices()[0]
    kind = device.device_kind
    return device.platform if kind == device.platform else f"{device.platform}: {kind}"


def pallas_obstacle() -> str | None:
    """Says what the default device is if Pallas cannot compile kernels for it through Triton; else
    returns `None`. Triton wants an NVIDIA GPU of compute capability 8.0 (Ampere) or later."""
    device = jax.config.jax_default_device or jax.devices()[0]
    device = jax.devices(device)[0] if isinstance(device, str) else device
    major = getattr(device, "compute_capability", "").partition(".")[0]  # AMD's is such as "gfx942"
    if major.isdigit() and int(major) >= 8:
        return None
    return f"the device {device.device_kind}"
