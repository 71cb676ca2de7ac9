"""The backend functions on PyTorch, which runs eagerly."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from keras_s5rl.backend import one_device, one_process, threefry
from keras_s5rl.backend.eager_programs import fetch as fetch
from keras_s5rl.backend.eager_programs import flatten as flatten
from keras_s5rl.backend.eager_programs import memory_needed as memory_needed
from keras_s5rl.backend.eager_programs import use_compilation_cache as use_compilation_cache
from keras_s5rl.backend.scan_along_axis import scan_in_place as scan_in_place
from keras_s5rl.backend.torch_derivatives import custom_derivatives as custom_derivatives
from keras_s5rl.typing import Structure, Tensor

# The names of a backend, beside the functions below and what is imported under its own name
devices = one_device
processes = one_process
random = threefry


def compile(
    function: Callable[..., Any], donate_argnums: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Returns `function` itself. It records gradients where torch does; no argument is
    overwritten."""
    return function


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory could not be allocated."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # On a CPU torch has no class of its own for it.
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def abstract_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns `function(*arguments)`, which has shapes and dtypes: torch traces nothing."""
    with torch.no_grad():
        return function(*arguments)


def scan(
    function: Callable[..., Any],
    carry: Structure,
    xs: Structure,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Structure, Structure]:
    """Runs `carry, y_t = function(carry, x_t)` along the leading axis of the structure `xs`.

    Returns `carry, ys`. There must be at least one step: only running one shows what `ys` is.
    """
    leaves = [] if xs is None else keras.tree.flatten(xs)
    length = leaves[0].shape[0] if length is None else length
    if length == 0:
        raise ValueError(
            "`xs` should hold at least one step: torch learns the shape of the outputs by running. "
            "Received: length=0"
        )
    history = []
    for step in reversed(range(length)) if reverse else range(length):
        x = keras.tree.pack_sequence_as(xs, [leaf[step] for leaf in leaves]) if leaves else None
        carry, y = function(carry, x)
        history.append([] if y is None else keras.tree.flatten(y))
    history = history[::-1] if reverse else history
    stacked = [torch.stack(values) for values in zip(*history, strict=True)]
    return carry, None if y is None else keras.tree.pack_sequence_as(y, stacked)


def packed_scan(
    function: Callable[..., Any], carry: Structure, xs: Structure
) -> tuple[Structure, Structure]:
    """`scan`: here nothing is gained by what lies side by side."""
    return scan(function, carry, xs)


def product(rows: Tensor, kernel: Tensor) -> Tensor:
    """The product of `rows (n, k)` with `kernel (k, m)`, computed in the dtype of the rows and
    returned in float32."""
    outputs = keras.ops.matmul(rows, keras.ops.cast(kernel, rows.dtype))
    return keras.ops.cast(outputs, "float32")


def cond(predicate: Tensor, true_fn: Callable[..., Any], false_fn: Callable[..., Any]) -> Any:
    """Returns `true_fn()` or `false_fn()`; only the chosen branch is run."""
    return true_fn() if predicate else false_fn()


def host_call(function: Callable[..., Any], like: Any, *arguments: Tensor) -> Any:
    """Calls a function of numpy arrays on the host.

    Args:
        function: Takes numpy arrays and returns the structure of `like`.
        like: Structure of arrays, or of anything with `shape` and `dtype`: those of the results.
        *arguments: Tensors.

    Returns:
        The results as tensors, in the structure of `like`.
    """
    results = function(*[keras.ops.convert_to_numpy(argument) for argument in arguments])
    return keras.tree.map_structure(
        lambda leaf, result: keras.ops.convert_to_tensor(result, dtype=str(leaf.dtype)),
        like,
        results,
    )


def ordered_host_call(function: Callable[..., Any], like: Any, *arguments: Tensor) -> Any:
    """Calls a function of numpy arrays that has effects on the host: torch runs eagerly, so that
    every call is made once and in its order, as `host_call` makes it."""
    return host_call(function, like, *arguments)


def value_and_gradients(function: Callable[..., Any], values: Any) -> tuple[Any, Any]:
    """Returns `(value, auxiliary), gradients` of `function(values) -> (value, auxiliary)`.

    The value is a scalar tensor, `gradients` a list like `values`. Nothing that is returned
    carries a gradient.
    """
    leaves = [value.detach().requires_grad_() for value in values]
    with torch.enable_grad():
        value, auxiliary = function(leaves)
        gradients = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    return keras.tree.map_structure(torch.Tensor.detach, (value, auxiliary)), list(gradients)


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
        clipping. None of them carries a gradient.
    """
    # Copies: Keras' optimizers overwrite the values they are given.
    trainable_values = [value.detach().clone() for value in trainable_values]
    optimizer_values = [value.detach().clone() for value in optimizer_values]
    (loss, auxiliary), gradients = value_and_gradients(loss_fn, trainable_values)
    gradient_norm = torch.sqrt(sum(torch.sum(torch.square(gradient)) for gradient in gradients))
    trainable_values, optimizer_values = optimizer.stateless_apply(
        optimizer_values, gradients, trainable_values
    )
    return trainable_values, optimizer_values, loss, auxiliary, gradient_norm


def is_running() -> bool:
    """Returns False: on a CPU torch starts its threads anew in the child of a fork, and on a GPU
    it says itself that it cannot."""
    return False


def wait_until_ready(structure: Structure) -> Any:
    """Blocks until every tensor of `structure` has been computed; returns the structure."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return structure


def any_copy(flag: Tensor) -> Tensor:
    """Returns the flag: only JAX makes copies of programs."""
    return flag


def device_name() -> str:
    """Returns the default device in words, such as `"cpu"` or `"gpu: NVIDIA H200"`."""
    return f"gpu: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cpu"
