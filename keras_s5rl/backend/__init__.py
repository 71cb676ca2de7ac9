"""What JAX, TensorFlow and torch do differently, under the same names.

One module a backend holds them; Keras' active backend (`KERAS_BACKEND`) decides which is imported.
Nothing outside this folder imports jax, tensorflow or torch, so that a program written against
these names runs on each of them.

- `compile(function, donate_argnums=())`: the function as one compiled program; donated arguments
  may be overwritten.
- `scan(function, carry, xs, length=None, reverse=False)`: `carry, y_t = function(carry, x_t)` along
  the leading axis.
- `cond(predicate, true_fn, false_fn)`: one of two branches, run only where it is chosen.
- `gradient_step(loss_fn, optimizer, trainable_values, optimizer_values)`: one step of a Keras
  optimizer, as a pure function.
- `wait_until_ready(structure)`: blocks until the tensors of a structure are computed.
- `device_name()`: the device in use, in words.
- `random`: Threefry-2x32: key, split, fold_in, bits, uniform, normal, randint, permutation.
"""

import keras

if keras.backend.backend() == "jax":
    from keras_s5rl.backend import jax_random as random
    from keras_s5rl.backend.jax import (
        compile,
        cond,
        device_name,
        gradient_step,
        scan,
        wait_until_ready,
    )
elif keras.backend.backend() == "tensorflow":
    from keras_s5rl.backend import unavailable_random as random
    from keras_s5rl.backend.tensorflow import (
        compile,
        cond,
        device_name,
        gradient_step,
        scan,
        wait_until_ready,
    )
elif keras.backend.backend() == "torch":
    from keras_s5rl.backend import unavailable_random as random
    from keras_s5rl.backend.torch import (
        compile,
        cond,
        device_name,
        gradient_step,
        scan,
        wait_until_ready,
    )
else:
    raise ImportError(
        "keras_s5rl runs on Keras' backends jax, tensorflow and torch. Set the environment "
        "variable KERAS_BACKEND to one of "
        f"them before importing keras. Received: KERAS_BACKEND={keras.backend.backend()}"
    )

__all__ = ["compile", "cond", "device_name", "gradient_step", "random", "scan", "wait_until_ready"]
