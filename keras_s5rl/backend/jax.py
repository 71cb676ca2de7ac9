"""The backend functions on JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from keras_s5rl.backend import jax_random as random  # noqa: F401  one of the names of a backend


def compile(function, donate_argnums=()):
    """Returns `function` as one XLA program; the buffers of donated arguments are reused for its
    results."""
    return jax.jit(function, donate_argnums=donate_argnums)


def scan(function, carry, xs, length=None, reverse=False):
    """Runs `carry, y_t = function(carry, x_t)` along the leading axis of the structure `xs`;
    returns `carry, ys`."""
    return jax.lax.scan(function, carry, xs, length=length, reverse=reverse)


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
        clipping.
    """
    (loss, auxiliary), gradients = value_and_gradients(loss_fn, trainable_values)
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
