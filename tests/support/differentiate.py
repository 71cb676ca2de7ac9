"""Compiling and differentiating on whichever backend the tests run."""

import keras
import numpy as np

BACKEND = keras.backend.backend()
# An eager run compiles each operation by itself on JAX: there, one program is ready sooner.
COMPILE = BACKEND == "jax"


def compiled(function):
    """The function as one compiled program; on torch, which runs eagerly, the function itself."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    return function


def gradients(function, arguments, compile=False):
    """The gradients of a scalar function for each of its arguments, as numpy arrays."""
    wrap = compiled if compile else (lambda function: function)
    arguments = [keras.ops.convert_to_tensor(argument) for argument in arguments]
    if BACKEND == "jax":
        import jax

        results = wrap(jax.grad(function, argnums=tuple(range(len(arguments)))))(*arguments)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        def differentiate(*arguments):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                value = function(*arguments)
            return tape.gradient(value, arguments, unconnected_gradients="zero")

        results = wrap(differentiate)(*arguments)
    else:
        import torch

        arguments = [argument.detach().clone().requires_grad_() for argument in arguments]
        results = torch.autograd.grad(
            function(*arguments), arguments, allow_unused=True, materialize_grads=True
        )
    return [np.asarray(keras.ops.convert_to_numpy(result)) for result in results]


def second_gradients(function, arguments, directions, compile=False):
    """Gradients of the gradients: of their product with directions, for each argument."""
    directions = [keras.ops.convert_to_tensor(direction) for direction in directions]

    def along(*arguments):
        first = _gradients_that_can_be_differentiated(function, arguments)
        return sum(keras.ops.sum(g * d) for g, d in zip(first, directions, strict=True))

    return gradients(along, arguments, compile)


def _gradients_that_can_be_differentiated(function, arguments):
    if BACKEND == "jax":
        import jax

        return jax.grad(function, argnums=tuple(range(len(arguments))))(*arguments)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = function(*arguments)
        return tape.gradient(value, arguments, unconnected_gradients="zero")
    import torch

    value = function(*arguments)
    return torch.autograd.grad(
        value, arguments, allow_unused=True, materialize_grads=True, create_graph=True
    )


def second_differences(function, arguments, directions, size=1e-2):
    """`second_gradients` by central differences of the gradients along the directions."""
    steps = [size * np.asarray(direction, "float32") for direction in directions]
    above = gradients(function, [a + step for a, step in zip(arguments, steps, strict=True)])
    below = gradients(function, [a - step for a, step in zip(arguments, steps, strict=True)])
    return [(a - b) / (2 * size) for a, b in zip(above, below, strict=True)]
