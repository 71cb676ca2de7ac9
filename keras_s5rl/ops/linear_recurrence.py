"""The diagonal linear recurrence with resets."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.adjoint import solve_one_step, solve_with_gradient
from keras_s5rl.ops.associative import associative
from keras_s5rl.ops.pallas import (
    pallas,
    pallas_adjoint,
    pallas_interpreted,
    pallas_interpreted_adjoint,
    pallas_obstacle,
)
from keras_s5rl.ops.sequential import sequential, sequential_adjoint
from keras_s5rl.typing import Tensor

_IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {
    "associative": associative,
    "sequential": sequential,
    "pallas": pallas,
    "pallas_interpreted": pallas_interpreted,
}
# Those with a gradient of their own. The gradient of the others is themselves, run the other way.
_ADJOINTS: dict[Callable[..., Any], Callable[..., Any]] = {
    sequential: sequential_adjoint,
    pallas: pallas_adjoint,
    pallas_interpreted: pallas_interpreted_adjoint,
}


def linear_recurrence(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor | None = None,
    resets: Tensor | None = None,
    mask: Tensor | None = None,
    reverse: bool = False,
    implementation: str = "auto",
) -> Tensor:
    """Solves a diagonal linear recurrence over time, complex or real, with resets.

        x_t = decay_t * (0 if reset_t else x_{t-1}) + u_t,    t = 0 .. T-1
        x_{-1} = initial_state

    A reset says that input t is the first of a new episode: the state is cleared before input t is
    taken in, by selection, so that not even a NaN survives it. A masked step (`mask_t = False`)
    keeps the state, `x_t = x_{t-1}`, and takes nothing in; if it also has a reset, the state is
    cleared first. With `reverse=True` time runs backwards, and episodes are cut at the same places:

        x_t = decay_t * (0 if reset_{t+1} else x_{t+1}) + u_t,    t = T-1 .. 0
        x_T = initial_state,    reset_T = False

    Complex numbers are pairs of real planes on the last axis but one: index 0 real, 1 imaginary.
    Where that axis has size 1 all numbers are real, and nothing imaginary is computed. All is
    computed in float32, whatever the dtype policy: a bfloat16 state saturates. The gradient is the
    same recurrence run the other way; it stores the states alone. Nothing that is not finite
    crosses a reset, in the states or in the gradients for them.

    Any argument may be a `KerasTensor`: the recurrence is then a node of a Functional model.

    Args:
        decay: Tensor `(planes, P)`, constant in time, or `(batch, time, planes, P)`; planes is 2,
            or 1 for real numbers.
        inputs: Tensor `(batch, time, planes, P)`.
        initial_state: Tensor `(batch, planes, P)`, or `None` for zeros. Defaults to `None`.
        resets: Bool tensor `(batch, time)`, or `None` for no resets. Defaults to `None`.
        mask: Bool tensor `(batch, time)`, or `None` for all true. Defaults to `None`.
        reverse: Whether time runs backwards. Defaults to `False`.
        implementation: `"sequential"` (one loop over time), `"associative"` (the paper's parallel
            scan, about `2 log2(T)` dependent steps; needs a static `time`), `"pallas"` (kernels for
            NVIDIA GPUs on the JAX backend, which read and write memory once),
            `"pallas_interpreted"` (these kernels on any device of JAX, slowly, to test them) or
            `"auto"`, the one for the device. Defaults to `"auto"`.

    Returns:
        All states, float32 `(batch, time, planes, P)`.

    Raises:
        ValueError: If a shape or the name of the implementation is wrong, if `"associative"` is
            asked for with a `time` that is not static, or `"pallas"` where it cannot run.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.ops import linear_recurrence
    >>> decay = np.array([[0.5], [0.0]], "float32")
    >>> inputs = np.ones((1, 4, 2, 1), "float32")
    >>> states = linear_recurrence(decay, inputs, resets=np.array([[False, False, True, False]]))
    >>> [float(x) for x in states[0, :, 0, 0]]
    [1.0, 1.5, 1.0, 1.5]

    Reference:
    - "Structured state space models for in-context reinforcement learning" (the operator with
      resets; appendix A proves it associative).
    """
    tensors = (decay, inputs, initial_state, resets, mask)
    if any(keras.utils.is_keras_tensor(tensor) for tensor in tensors):
        return LinearRecurrence(reverse, implementation).symbolic_call(*tensors)
    decay, inputs = _as_float32("decay", decay), _as_float32("inputs", inputs)
    if initial_state is not None:
        initial_state = _as_float32("initial_state", initial_state)
    _check_shapes(decay, inputs, initial_state, resets, mask)
    resets, mask = (
        None if flag is None else ops.cast(ops.convert_to_tensor(flag), "bool")
        for flag in (resets, mask)
    )
    return _solve(decay, inputs, initial_state, resets, mask, reverse, implementation, axis=1)


def linear_recurrence_time_major(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor | None = None,
    resets: Tensor | None = None,
    mask: Tensor | None = None,
    reverse: bool = False,
    implementation: str = "auto",
) -> Tensor:
    """`linear_recurrence` with time as the leading axis, for layers that are time-major inside.

    Args:
        decay: Float32 tensor `(planes, P)` or `(time, batch, planes, P)`.
        inputs: Float32 tensor `(time, batch, planes, P)`.
        initial_state: Float32 tensor `(batch, planes, P)` or `None`.
        resets: Bool tensor `(time, batch)` or `None`.
        mask: Bool tensor `(time, batch)` or `None`.
        reverse: Whether time runs backwards.
        implementation: As for `linear_recurrence`.

    Returns:
        All states, float32 `(time, batch, planes, P)`.
    """
    return _solve(decay, inputs, initial_state, resets, mask, reverse, implementation, axis=0)


def _solve(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    resets: Tensor | None,
    mask: Tensor | None,
    reverse: bool,
    implementation: str,
    axis: int,
) -> Tensor:
    """The recurrence with time on axis 0 or 1 of all but `initial_state`."""
    solve = _choose(implementation, inputs.shape[axis])
    if inputs.shape[axis] == 0:
        return inputs
    if axis == 1 and solve is not sequential:  # only the loop runs along any axis
        inputs, resets, mask = (
            None if x is None else ops.swapaxes(x, 0, 1) for x in (inputs, resets, mask)
        )
        decay = ops.swapaxes(decay, 0, 1) if len(decay.shape) == 4 else decay
        states = _solve(decay, inputs, initial_state, resets, mask, reverse, implementation, axis=0)
        return ops.swapaxes(states, 0, 1)
    if initial_state is None:
        initial_state = ops.zeros_like(ops.take(inputs, 0, axis=axis))
    if resets is not None and reverse:
        later = resets[:, 1:] if axis else resets[1:]
        none = ops.zeros_like(resets[:, :1] if axis else resets[:1])
        resets = ops.concatenate([later, none], axis=axis)
    holds = None
    if mask is not None:
        holds = ops.logical_not(mask)
        inputs = ops.where(holds[..., None, None], 0.0, inputs)
    if inputs.shape[axis] == 1:
        return solve_one_step(decay, inputs, initial_state, resets, holds, axis)
    return solve_with_gradient(
        solve, decay, inputs, initial_state, resets, holds, reverse, _ADJOINTS.get(solve), axis
    )


@keras.saving.register_keras_serializable("keras_s5rl")
class LinearRecurrence(keras.Operation):
    """`linear_recurrence` as a node of a Functional model."""

    def __init__(
        self, reverse: bool = False, implementation: str = "auto", name: str | None = None
    ) -> None:
        super().__init__(name=name)
        check_implementation(implementation)
        self.reverse = reverse
        self.implementation = implementation

    def call(
        self,
        decay: Tensor,
        inputs: Tensor,
        initial_state: Tensor | None = None,
        resets: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        return linear_recurrence(
            decay, inputs, initial_state, resets, mask, self.reverse, self.implementation
        )

    def compute_output_spec(
        self,
        decay: Tensor,
        inputs: Tensor,
        initial_state: Tensor | None = None,
        resets: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Any:
        _check_shapes(decay, inputs, initial_state, resets, mask)
        return keras.KerasTensor(np.shape(inputs), dtype="float32")


def check_implementation(implementation: str) -> None:
    """Raises a ValueError if there is no implementation of this name."""
    if implementation not in ("auto", *_IMPLEMENTATIONS):
        raise ValueError(
            f"`implementation` should be one of {['auto', *_IMPLEMENTATIONS]}. "
            f"Received: implementation={implementation!r}"
        )


def _choose(implementation: str, time: int | None) -> Callable[..., Any]:
    """The function that solves the recurrence.

    Measured on two CPU cores (benchmarks/results/recurrence_cpu.txt): under XLA the loop is faster
    at every shape, in gradients and in compilation; torch pays for each operation it launches, and
    the parallel scan launches fewer. On accelerators it is chosen for its few dependent steps, and
    the kernels, where they run, because they read and write memory once and the scan does so on
    each of its levels: expectations both, as no GPU was at hand.
    """
    check_implementation(implementation)
    if implementation == "auto":
        if pallas_obstacle() is None:
            return pallas
        eager = keras.backend.backend() == "torch"
        parallel = time is not None and (eager or backend.device_name() != "cpu")
        return associative if parallel else sequential
    if implementation == "associative" and time is None:
        raise ValueError(
            "`implementation='associative'` needs a static number of time steps. Give the input "
            f"a fixed length, or use 'sequential' or 'auto'. "
            f"Received: implementation={implementation!r} with time=None"
        )
    if implementation == "pallas" and pallas_obstacle() is not None:
        raise ValueError(
            "`implementation='pallas'` needs the JAX backend and an NVIDIA GPU of compute "
            "capability 8.0 or later. Use 'auto', which chooses among those that run here. "
            f"Received: implementation={implementation!r} with {pallas_obstacle()}"
        )
    if implementation == "pallas_interpreted" and keras.backend.backend() != "jax":
        raise ValueError(
            "`implementation='pallas_interpreted'` needs the JAX backend. Use 'auto'. Received: "
            f"implementation={implementation!r} with the backend {keras.backend.backend()}"
        )
    return _IMPLEMENTATIONS[implementation]


def _as_float32(name: str, values: Tensor) -> Tensor:
    values = ops.convert_to_tensor(values)
    if "complex" in keras.backend.standardize_dtype(values.dtype):
        raise ValueError(
            f"`{name}` should be real: stack real and imaginary parts on the last axis but one. "
            f"Received: {name}.dtype={keras.backend.standardize_dtype(values.dtype)}"
        )
    return ops.cast(values, "float32")


def _check_shapes(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor | None,
    resets: Tensor | None,
    mask: Tensor | None,
) -> None:
    shape = tuple(np.shape(inputs))
    if len(shape) != 4 or shape[2] not in (1, 2):
        raise ValueError(
            "`inputs` should have shape (batch, time, planes, P), with real and imaginary planes "
            f"on axis 2, or the real one alone. Received: inputs.shape={shape}"
        )
    batch, time, planes, features = shape
    decay_shape = tuple(np.shape(decay))
    if len(decay_shape) not in (2, 4):
        raise ValueError(
            f"`decay` should have shape {(planes, features)}, or {shape} where it changes over "
            f"time. Received: decay.shape={decay_shape}"
        )
    _check_shape("decay", decay, shape if len(decay_shape) == 4 else (planes, features))
    _check_shape("initial_state", initial_state, (batch, planes, features))
    _check_shape("resets", resets, (batch, time))
    _check_shape("mask", mask, (batch, time))


def _check_shape(name: str, values: Tensor, expected: tuple[Any, ...]) -> None:
    if values is None:
        return
    shape = tuple(np.shape(values))
    same = len(shape) == len(expected) and all(
        size == wanted or size is None or wanted is None
        for size, wanted in zip(shape, expected, strict=True)
    )
    if not same:
        raise ValueError(
            f"`{name}` should have shape {expected}, to go with `inputs`. "
            f"Received: {name}.shape={shape}"
        )
