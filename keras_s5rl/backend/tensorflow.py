"""The backend functions on TensorFlow."""

import tensorflow as tf

from keras_s5rl.backend import threefry as random  # noqa: F401  one of the names of a backend
from keras_s5rl.backend.unavailable import unavailable

gradient_step = unavailable("gradient_step")


def compile(function, donate_argnums=()):
    """Returns `function` as one XLA program for each set of shapes; no argument is overwritten."""
    # XLA makes a loop of environment steps 3 to 10 times as fast. `reduce_retracing` would make
    # shapes symbolic, and loops and draws ask for them.
    return tf.function(function, autograph=False, jit_compile=True)


def scan(function, carry, xs, length=None, reverse=False):
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

    def call(index, carry):
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

    def record(carry):
        _, structure["y"], values = call(0, carry)
        return values

    specs = tf.function(record, autograph=False).get_concrete_function(carry).structured_outputs
    arrays = [
        tf.TensorArray(spec.dtype, size=length, element_shape=spec.shape, clear_after_read=False)
        for spec in specs
    ]

    def body(index, carry, arrays):
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


def cond(predicate, true_fn, false_fn):
    """Returns `true_fn()` or `false_fn()`; only the chosen branch is run."""
    return tf.cond(predicate, true_fn, false_fn)


def wait_until_ready(structure):
    """Blocks until every tensor of `structure` has been computed; returns the structure."""
    for tensor in tf.nest.flatten(structure):
        tf.convert_to_tensor(tensor).numpy()
    return structure


def device_name():
    """Returns the default device in words, such as `"cpu"` or `"gpu: NVIDIA H200"`."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "cpu"
    details = tf.config.experimental.get_device_details(devices[0])
    return f"gpu: {details.get('device_name', 'unknown')}"
