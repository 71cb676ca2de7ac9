"""Compiling and differentiating on whichever backend the tests run."""

import keras
import numpy as np

BACKEND = keras.backend.backend()


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
