"""The backend functions on TensorFlow."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from keras_s5rl.backend import one_device, one_process, threefry
from keras_s5rl.backend.eager_programs import fetch as fetch
from keras_s5rl.backend.eager_programs import flatten as flatten
from keras_s5rl.backend.eager_programs import memory_needed as memory_needed
from keras_s5rl.backend.eager_programs import use_compilation_cache as use_compilation_cache
from keras_s5rl.backend.scan_along_axis import scan_in_place as scan_in_place
from keras_s5rl.typing import Structure, Tensor

# The names of a backend, beside the functions below and what is imported under its own name
devices = one_device
processes = one_process
random = threefry

_COPIES: weakref.WeakKeyDictionary[Any, tuple[Any, list[Any]]] = weakref.WeakKeyDictionary()
_xla_functions: list[Callable[..., Any]] = []  # those that are being traced, to become XLA programs


class _HostIsCalledError(BaseException):
    """Says that a function cannot become an XLA program; no error that the function may catch."""


def compile(
    function: Callable[..., Any], donate_argnums: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Returns `function` as one XLA program for each set of shapes; no argument is overwritten.

    XLA programs of TensorFlow cannot call the host: a function that does is compiled to a graph.
    """

    def xla_function(*arguments: Any) -> Any:
        _xla_functions.append(xla_function)
        try:
            return function(*arguments)
        finally:
            _xla_functions.pop()

    # XLA makes a loop of environment steps 3 to 10 times as fast. `reduce_retracing` would make
    # shapes symbolic, and loops and draws ask for them.
    programs = [
        tf.function(xla_function, autograph=False, jit_compile=True),
        tf.function(function, autograph=False),
    ]

    def call(*arguments: Any) -> Any:
        if len(programs) == 2:
            try:
                return programs[0](*arguments)
            except _HostIsCalledError:
                del programs[0]
        return programs[-1](*arguments)

    return call


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory could not be allocated."""
    return isinstance(error, tf.errors.ResourceExhaustedError | MemoryError)


def abstract_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns the shapes and dtypes of `function(*arguments)`: it is traced, and not compiled."""
    program = tf.function(function, autograph=False).get_concrete_function(*arguments)
    return program.structured_outputs


def scan(
    function: Callable[..., Any],
    carry: Structure,
    xs: Structure,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Structure, Structure]:
    """Runs `carry, y_t = function(carry, x_t)` along the leading axis of the structure `xs`;
    returns `carry, ys`.

    The loop knows its length, so that XLA can compile its gradient (that of `keras.ops.scan` it
    cannot).
    """
    carry = tf.nest.map_structure(tf.convert_to_tensor, carry)
    xs = tf.nest.map_structure(tf.convert_to_tensor, xs) if xs is not None else ()
    leaves = tf.nest.flatten(xs)
    if length is None:
        length = leaves[0].shape[0]
        length = tf.shape(leaves[0])[0] if length is None else length

    def call(index: Tensor, carry: Structure) -> Any:
        index = length - 1 - index if reverse else index
        x = tf.nest.pack_sequence_as(xs, [leaf[index] for leaf in leaves]) if leaves else None
        carry, y = function(carry, x)
        # JAX's convention: a y of None leaves nothing behind.
        return carry, y, [] if y is None else tf.nest.flatten(y)

    if tf.executing_eagerly() and length > 0:
        history = []
        for step in range(length):
            carry, y, values = call(step, carry)
            history.append(values)
        history = history[::-1] if reverse else history
        stacked = [tf.stack(values) for values in zip(*history, strict=True)]
        return carry, None if y is None else tf.nest.pack_sequence_as(y, stacked)

    structure = {}

    def record(carry: Structure) -> Any:
        _, structure["y"], values = call(0, carry)
        return values

    specs = tf.function(record, autograph=False).get_concrete_function(carry).structured_outputs
    arrays = [
        tf.TensorArray(spec.dtype, size=length, element_shape=spec.shape, clear_after_read=False)
        for spec in specs
    ]

    def body(index: Tensor, carry: Structure, arrays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        carry, _, values = call(index, carry)
        position = length - 1 - index if reverse else index
        arrays = [array.write(position, value) for array, value in zip(arrays, values, strict=True)]
        return index + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length,
        body,
        (tf.constant(0), carry, arrays),
        maximum_iterations=length,
    )
    y = structure["y"]
    stacked = [array.stack() for array in arrays]
    return carry, None if y is None else tf.nest.pack_sequence_as(y, stacked)


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
    return tf.cond(predicate, true_fn, false_fn)


def host_call(function: Callable[..., Any], like: Any, *arguments: Tensor) -> Any:
    """Calls a function of numpy arrays on the host, from compiled code too.

    Args:
        function: Takes numpy arrays and returns the structure of `like`. It should be pure: it may
            be called more than once, or never if its results are not used.
        like: Structure of arrays, or of anything with `shape` and `dtype`: those of the results.
        *arguments: Tensors.

    Returns:
        The results as tensors, in the structure of `like`.
    """
    return _host_call(function, like, arguments, stateful=False)


def ordered_host_call(function: Callable[..., Any], like: Any, *arguments: Tensor) -> Any:
    """Calls a function of numpy arrays that has effects on the host, from compiled code too.

    The call is made exactly once each time that the program comes to it, its results used or not,
    and all such calls of a program are made in its order.

    Args:
        function: Takes numpy arrays and returns the structure of `like`.
        like: Structure of arrays, or of anything with `shape` and `dtype`: those of the results.
        *arguments: Tensors.

    Returns:
        The results as tensors, in the structure of `like`.
    """
    return _host_call(function, like, arguments, stateful=True)


def _host_call(
    function: Callable[..., Any], like: Any, arguments: Sequence[Tensor], stateful: bool
) -> Any:
    if _xla_functions:
        raise _HostIsCalledError
    leaves = tf.nest.flatten(like)

    def call(*arrays: Any) -> Any:
        results = tf.nest.flatten(function(*arrays))
        return [
            np.asarray(result, leaf.dtype) for result, leaf in zip(results, leaves, strict=True)
        ]

    dtypes = [tf.as_dtype(leaf.dtype) for leaf in leaves]
    results = tf.numpy_function(call, arguments, dtypes, stateful=stateful)
    # Eagerly, TensorFlow returns one result without its list.
    results = results if isinstance(results, list | tuple) else [results]
    # What runs outside TensorFlow has no shapes.
    results = [
        tf.ensure_shape(result, leaf.shape) for result, leaf in zip(results, leaves, strict=True)
    ]
    return tf.nest.pack_sequence_as(like, results)


def custom_derivatives(
    function: Callable[..., Any],
    tangent: Callable[..., Any],
    gradient: Callable[..., Any],
    differentiable_gradient: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Returns a function of tensors whose gradient is written out.

    TensorFlow differentiates `gradient` where it needs the gradient of a gradient, or forward mode.

    Args:
        function: `(arguments, constants) -> result`, where `arguments` is a tuple of float tensors,
            `constants` a tuple of tensors that nothing is differentiated for, and the result one
            float tensor.
        tangent: Not used: TensorFlow's forward mode goes by gradients.
        gradient: `(arguments, constants, result, upstream) -> gradients`, a tuple like `arguments`.
        differentiable_gradient: Not used: TensorFlow differentiates all that `gradient` consists
            of.

    Returns:
        Function `(arguments, constants=()) -> result`.
    """

    def differentiable(arguments: Any, constants: Tensor = ()) -> Any:
        @tf.custom_gradient
        def run(*arguments: Any) -> Any:
            result = function(arguments, constants)
            return result, lambda upstream: gradient(arguments, constants, result, upstream)

        return run(*map(tf.convert_to_tensor, arguments))

    return differentiable


def value_and_gradients(function: Callable[..., Any], values: Any) -> tuple[Any, Any]:
    """Returns `(value, auxiliary), gradients` of `function(values) -> (value, auxiliary)`.

    The value is a scalar tensor, `gradients` a list like `values`.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        results = function(values)
    gradients = tape.gradient(results[0], values, unconnected_gradients="zero")
    return results, [tf.convert_to_tensor(gradient) for gradient in gradients]


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
        clipping.
    """
    (loss, auxiliary), gradients = value_and_gradients(loss_fn, trainable_values)
    gradient_norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradients]))
    own, trainable = _copy_of(optimizer, trainable_values)
    variables = [*trainable, *own.variables]
    for variable, value in zip(variables, [*trainable_values, *optimizer_values], strict=True):
        variable.assign(value)
    own.apply(gradients)
    values = [tf.identity(variable.value) for variable in variables]
    num_trainable = len(trainable)
    return values[:num_trainable], values[num_trainable:], loss, auxiliary, gradient_norm


def _copy_of(optimizer: Any, trainable_values: Sequence[Tensor]) -> tuple[Any, list[Any]]:
    """An optimizer like this one, on variables of its own, and these variables.

    On TensorFlow Keras' optimizers take their step in tf.Variables alone (`stateless_apply`
    raises); those of the copy are no one else's, and hold nothing between two steps.
    """
    if optimizer not in _COPIES:
        with tf.init_scope():  # variables are made once, outside the program that uses them
            trainable = [
                keras.Variable(tf.zeros(value.shape, value.dtype)) for value in trainable_values
            ]
            copied = type(optimizer).from_config(optimizer.get_config())
            copied.build(trainable)
        _COPIES[optimizer] = copied, trainable
    return _COPIES[optimizer]


def is_running() -> bool:
    """Returns whether TensorFlow has started, with threads that a fork does not copy."""
    return context.context()._initialized


def wait_until_ready(structure: Structure) -> Any:
    """Blocks until every tensor of `structure` has been computed; returns the structure."""
    for tensor in tf.nest.flatten(structure):
        tf.convert_to_tensor(tensor).numpy()
    return structure


def any_copy(flag: Tensor) -> Tensor:
    """Returns the flag: only JAX makes copies of programs."""
    return flag


def device_name() -> str:
    """Returns the default device in words, such as `"cpu"` or `"gpu: NVIDIA H200"`."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"gpu: {details.get('device_name', 'unknown')}"
