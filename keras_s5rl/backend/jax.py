"""The backend functions on JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge
from jax.experimental.xla_metadata import set_xla_metadata

from keras_s5rl.backend import jax_devices as devices
from keras_s5rl.backend import jax_random as random  # noqa: F401  one of the names of a backend

# Smaller kernels gain less from a copy of their operands than it costs.
_WIDE_KERNEL = 128


def compile(function, donate_argnums=()):
    """Returns `function` as one XLA program; the buffers of donated arguments are reused for its
    results."""
    return jax.jit(function, donate_argnums=donate_argnums)


def abstract_call(function, *arguments):
    """Returns the shapes and dtypes of `function(*arguments)`: it is traced, and not compiled."""
    return jax.eval_shape(function, *arguments)


def scan(function, carry, xs, length=None, reverse=False):
    """Runs `carry, y_t = function(carry, x_t)` along the leading axis of the structure `xs`;
    returns `carry, ys`."""
    return jax.lax.scan(function, carry, xs, length=length, reverse=reverse)


def scan_in_place(function, carry, values, xs, reverse=False, axis=0):
    """Runs `carry, values_t = function(carry, values_t, x_t)` along an axis of two structures.

    XLA writes the new values over the old where nobody needs those any more, so that nothing is
    laid out beside them, and on a CPU the whole loop is one kernel: several launches a step cost
    more than the arithmetic of a step.

    Args:
        function: Elementwise operations alone; nothing else can become part of the kernel.
        carry: Structure of tensors `(batch, ...)`.
        values: Structure of tensors `(time, batch, ...)`, or with `axis=1` `(batch, time, ...)`,
            with at least one step.
        xs: Structure of such tensors, or an empty one.
        reverse: Whether to run from the last step to the first.
        axis: 0 or 1, which axis is time. The function sees tensors without it, and maybe of fewer
            rows of the batch.

    Returns:
        `carry, values`.
    """
    length = jax.tree.leaves(values)[0].shape[axis]

    def loop(carry, values, xs, at, put):
        def body(index, state):
            carry, current, values = state
            step = length - 1 - index if reverse else index
            carry, current = function(carry, current, at(xs, step))
            values = put(values, current, step)
            # Read for the next step from what was just written: with a read beside the write XLA
            # would copy all values in every step.
            return carry, at(values, step - 1 if reverse else step + 1), values

        first = at(values, length - 1 if reverse else 0)
        carry, _, values = jax.lax.fori_loop(0, length, body, (carry, first, values))
        return carry, values

    def time_major(carry, values, xs):
        return loop(carry, values, xs, _at, _put)

    def batch_major(carry, values, xs):
        # One row after the other: rows lie far apart, and at powers of two they would push each
        # other out of the cache.
        def run_row(row, state):
            def at(structure, step):
                return jax.tree.map(lambda x: _slice(x, (row, step), (1, 1))[:, 0], structure)

            def put(structure, update, step):
                return jax.tree.map(
                    lambda x, y: _update(x, y[:, None], (row, step)), structure, update
                )

            carry, values = state
            of_row = jax.tree.map(lambda x: _slice(x, (row,), (1,)), carry)
            of_row, values = loop(of_row, values, xs, at, put)
            return jax.tree.map(lambda x, y: _update(x, y, (row,)), carry, of_row), values

        batch = jax.tree.leaves(values)[0].shape[0]
        return jax.lax.fori_loop(0, batch, run_row, (carry, values))

    return _as_one_kernel(batch_major if axis else time_major)(carry, values, xs)


def _at(structure, step):
    return jax.tree.map(lambda x: _slice(x, (step,), (1,))[0], structure)


def _put(structure, update, step):
    return jax.tree.map(lambda x, y: _update(x, y[None], (step,)), structure, update)


def _slice(array, starts, sizes):
    """A piece of the leading axes."""
    rest = array.ndim - len(starts)
    sizes = (*sizes, *array.shape[len(starts) :])
    return jax.lax.dynamic_slice(array, (*starts, *[0] * rest), sizes)


def _update(array, piece, starts):
    """`array` with a piece of the leading axes written over."""
    return jax.lax.dynamic_update_slice(array, piece, (*starts, *[0] * (array.ndim - len(starts))))


def product(rows, kernel):
    """The product of `rows (n, k)` with `kernel (k, m)`, computed in the dtype of the rows.

    It is accumulated and returned in float32, and so is the gradient for the kernel, whose values
    are rounded on their way in alone.
    """
    wide = min(kernel.shape) >= _WIDE_KERNEL
    if jax.default_backend() == "cpu" and (wide or rows.dtype != jnp.float32):
        return _laid_out_product(rows, kernel)
    return jnp.matmul(rows, kernel.astype(rows.dtype), preferred_element_type=jnp.float32)


# XLA's CPU compiler has two libraries for products. The better one takes operands that lie row by
# row: it leaves to the other one the gradient for the kernel, whose left operand is transposed, and
# half-precision operands with any transpose near them, which it makes float32 then. A computation
# of its own has operands that do lie row by row, copied where they did not.


@jax.custom_vjp
def _laid_out_product(rows, kernel):
    return _laid_out_dot(rows, kernel.astype(rows.dtype), 0)


def _product_forward(rows, kernel):
    # What the rows are made of is not computed a second time to transpose them.
    rows = jax.lax.optimization_barrier(rows)
    return _laid_out_product(rows, kernel), (rows, kernel)


def _product_backward(saved, upstream):
    rows, kernel = saved
    upstream = upstream.astype(rows.dtype)
    for_rows = _laid_out_dot(upstream, kernel.astype(rows.dtype), 1).astype(rows.dtype)
    return for_rows, _laid_out_dot(rows.T, upstream, 0).astype(kernel.dtype)


_laid_out_product.defvjp(_product_forward, _product_backward)


def _laid_out_dot(left, right, axis):
    """The product of `left (n, k)` with `right`, whose k is on `axis`, in float32."""

    def dot(left, right):
        contracted = ((1,), (axis,)), ((), ())
        return jax.lax.dot_general(left, right, contracted, preferred_element_type=jnp.float32)

    return _as_computation(dot)(left, right)


def _as_one_kernel(function):
    """A function of elementwise operations and loops which XLA's CPU compiler makes one kernel.

    It is what XLA does by itself with the smallest loops.
    """
    if jax.default_backend() != "cpu":
        return function
    return _as_computation(function, xla_cpu_small_call="true")


def _as_computation(function, **attributes):
    """The function as a computation that XLA calls and does not inline, with these attributes."""
    attributes = {"inlineable": "false", **attributes}

    @functools.wraps(function)
    def without_attributes(*arguments):
        with set_xla_metadata(**dict.fromkeys(attributes)):
            return function(*arguments)

    program = jax.jit(without_attributes)

    def call(*arguments):
        with set_xla_metadata(**attributes):
            return program(*arguments)

    return call


def cond(predicate, true_fn, false_fn):
    """Returns `true_fn()` or `false_fn()`; only the chosen branch is run."""
    return jax.lax.cond(predicate, true_fn, false_fn)


def value_and_gradients(function, values):
    """Returns `(value, auxiliary), gradients` of `function(values) -> (value, auxiliary)`.

    The value is a scalar tensor, `gradients` a list like `values`.
    """
    return jax.value_and_grad(function, has_aux=True)(values)


def gradient_step(loss_fn, optimizer, trainable_values, optimizer_values):
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


def host_call(function, like, *arguments):
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

    def call(*arrays):
        return function(*[np.asarray(array) for array in arrays])

    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), like)
    return jax.pure_callback(call, shapes, *arguments, vmap_method="sequential")


def is_running():
    """Returns whether JAX has started, with threads that a fork does not copy."""
    return xla_bridge.backends_are_initialized()


def wait_until_ready(structure):
    """Blocks until every tensor of `structure` has been computed; returns the structure."""
    return jax.block_until_ready(structure)


def device_name():
    """Returns the default device in words, such as `"cpu"` or `"gpu: NVIDIA H200"`."""
    device = jax.devices()[0]
    kind = device.device_kind
    return device.platform if kind == device.platform else f"{device.platform}: {kind}"


def pallas_obstacle():
    """Says what the default device is if Pallas cannot compile kernels for it through Triton; else
    returns `None`. Triton wants an NVIDIA GPU of compute capability 8.0 (Ampere) or later."""
    device = jax.config.jax_default_device or jax.devices()[0]
    device = jax.devices(device)[0] if isinstance(device, str) else device
    major = getattr(device, "compute_capability", "").partition(".")[0]  # AMD's is such as "gfx942"
    if major.isdigit() and int(major) >= 8:
        return None
    return f"the device {device.device_kind}"
