"""What JAX, TensorFlow and torch do differently, under the same names.

One module a backend holds them; Keras' active backend (`KERAS_BACKEND`) decides which is imported.
Nothing outside this folder imports jax, tensorflow or torch, so that a program written against
these names runs on each of them.

- `compile(function, donate_argnums=())`: the function of structures of tensors as one XLA program
  for each set of shapes, on torch, which runs eagerly, the function itself. It can be
  differentiated. Donated arguments may be overwritten (they are on JAX).
- `memory_needed(program, *arguments)`: the bytes that it will take to run a compiled program, or
  `None`; `available_memory()`: those that there are; `ran_out_of_memory(error)`: whether an
  exception says so.
- `use_compilation_cache()`: keeps compiled programs for later processes (JAX).
- `abstract_call(function, *arguments)`: the shapes and dtypes that a function of structures of
  tensors returns, of which nothing is compiled or computed; on torch the results themselves.
- `scan(function, carry, xs, length=None, reverse=False)`: `carry, y_t = function(carry, x_t)` along
  the leading axis.
- `packed_scan(function, carry, xs)`: `scan`, on a GPU with all that a step reads and writes side by
  side in one array.
- `scan_in_place(function, carry, values, xs, fixed=(), reverse=False, axis=0)`: `carry, values_t =
  function(carry, values_t, x_t, fixed)` for elementwise operations, along any axis, without copies.
- `cond(predicate, true_fn, false_fn)`: one of two branches, run only where it is chosen.
- `any_copy(flag)`: the flag; on JAX under `vmap` whether it is true in any copy, so that a branch
  on it stays one.
- `product(rows, kernel)`: a product of matrices in the dtype of the first, accumulated in float32.
- `custom_derivatives(function, tangent, gradient, differentiable_gradient=None)`: a function whose
  derivatives are written out, differentiable any number of times, in forward mode too, and on JAX
  and torch under `vmap`.
- `value_and_gradients(function, values)`: a scalar, what comes with it, and its gradients.
- `gradient_step(loss_fn, optimizer, trainable_values, optimizer_values)`: one step of a Keras
  optimizer, as a pure function.
- `host_call(function, like, *arguments)`: a function of numpy arrays, called on the host from
  compiled code.
- `ordered_host_call(function, like, *arguments)`: the same for a function with effects, such as the
  step of a simulator: each call happens once, in the order of the program.
- `flatten(structure)`: its tensors as a list, and the function that makes a structure of such a
  list; on JAX of classes of other libraries that JAX knows, too.
- `check_not_orphaned()`: raises in the child of a fork in which the backend would hang.
- `wait_until_ready(structure)`: blocks until the tensors of a structure are computed.
- `fetch(structure)`: its tensors as numpy arrays, all fetched from the device together.
- `device_name()`: the device in use, in words.
- `devices`: several devices that run a program together, each on its part (JAX alone has more than
  one): `count`, `compile`; within such a program `index`, `sum`, `mean`, `gather`, which elsewhere
  change nothing; `on_default` for what is to leave it.
- `processes`: several processes, on one host or several, whose devices run a program together (JAX
  alone has more than one): `start`, `count`, `index`, `is_joined`, `leave`; and what all do
  together: `maximum`, `from_first`, `gathered`.
- `LostProcessError`: one of them does not take part any more.
- `random`: Threefry-2x32: key, split, fold_in, bits, uniform, normal, randint, permutation, with
  the same bits on each backend.
"""

import importlib
from typing import TYPE_CHECKING

import keras

from keras_s5rl.backend import forks
from keras_s5rl.backend.host_memory import available_memory
from keras_s5rl.backend.lost_process_error import LostProcessError

_BACKENDS = ("jax", "tensorflow", "torch")

if keras.backend.backend() not in _BACKENDS:
    raise ImportError(
        f"keras_s5rl runs on Keras' backends {', '.join(_BACKENDS)}. Set the environment variable "
        "KERAS_BACKEND to one of them before importing keras. "
        f"Received: KERAS_BACKEND={keras.backend.backend()}"
    )
if TYPE_CHECKING:
    from keras_s5rl.backend import jax as _implementation  # the others have the same signatures
else:
    _implementation = importlib.import_module(f"{__name__}.{keras.backend.backend()}")

forks.watch(_implementation.is_running)

check_not_orphaned = forks.check_not_orphaned
compile = _implementation.compile
memory_needed = _implementation.memory_needed
ran_out_of_memory = _implementation.ran_out_of_memory
use_compilation_cache = _implementation.use_compilation_cache
abstract_call = _implementation.abstract_call
product = _implementation.product
scan = _implementation.scan
packed_scan = _implementation.packed_scan
scan_in_place = _implementation.scan_in_place
cond = _implementation.cond
any_copy = _implementation.any_copy
flatten = _implementation.flatten
custom_derivatives = _implementation.custom_derivatives
value_and_gradients = _implementation.value_and_gradients
gradient_step = _implementation.gradient_step
host_call = _implementation.host_call
ordered_host_call = _implementation.ordered_host_call
fetch = _implementation.fetch
wait_until_ready = _implementation.wait_until_ready
device_name = _implementation.device_name
devices = _implementation.devices
processes = _implementation.processes
random = _implementation.random

__all__ = [
    "LostProcessError",
    "available_memory",
    "abstract_call",
    "any_copy",
    "check_not_orphaned",
    "compile",
    "cond",
    "custom_derivatives",
    "device_name",
    "devices",
    "fetch",
    "flatten",
    "gradient_step",
    "host_call",
    "memory_needed",
    "ordered_host_call",
    "packed_scan",
    "processes",
    "product",
    "ran_out_of_memory",
    "random",
    "scan",
    "scan_in_place",
    "use_compilation_cache",
    "value_and_gradients",
    "wait_until_ready",
]
