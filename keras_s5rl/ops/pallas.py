"""The linear recurrence as GPU kernels: one pass over memory, and one for the gradient."""

import functools

import keras

from keras_s5rl.typing import Tensor


def pallas_obstacle() -> str | None:
    """Says in a few words where this is if not where the kernels can run; else returns `None`."""
    if keras.backend.backend() != "jax":
        return f"the backend {keras.backend.backend()}"
    from keras_s5rl.backend import jax as jax_backend

    return jax_backend.pallas_obstacle()


def pallas(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None = None,
    holds: Tensor | None = None,
    reverse: bool = False,
    interpret: bool = False,
) -> Tensor:
    """Solves the recurrence with Pallas kernels of JAX, time-major.

    Memory is read and written once, and nothing of a constant decay is laid out over time. A step
    that is held keeps the state as it is.

    Args:
        decay: Float32 `(planes, P)`, or `(time, batch, planes, P)`; planes is 1 or 2.
        inputs: Float32 `(time, batch, planes, P)`.
        initial_state: Float32 `(batch, planes, P)`.
        cuts: Bool `(time, batch)` or `None`. Where true, the carried state is cleared first.
        holds: Bool `(time, batch)` or `None`. Where true, the decay of the step is 1.
        reverse: Whether to run from the last step to the first.
        interpret: Whether JAX interprets the kernels, slowly, on any device. Defaults to `False`.

    Returns:
        All states, float32 `(time, batch, planes, P)`.
    """
    from keras_s5rl.backend import jax_pallas

    return jax_pallas.solve(decay, inputs, initial_state, cuts, holds, reverse, interpret=interpret)


def pallas_adjoint(
    decay: Tensor,
    states: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None,
    holds: Tensor | None,
    reverse: bool,
    upstream: Tensor,
    interpret: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for decay, inputs and initial state, from one pass over memory.

    Args:
        decay, initial_state, cuts, holds, reverse: As for `pallas`.
        states: Float32 `(time, batch, planes, P)`, what `pallas` returned.
        upstream: Float32 `(time, batch, planes, P)`, the gradient for the states.
        interpret: As for `pallas`.

    Returns:
        Three float32 tensors, in the shapes of decay, inputs and initial state.
    """
    from keras_s5rl.backend import jax_pallas_adjoint

    return jax_pallas_adjoint.adjoint(
        decay, states, initial_state, cuts, holds, reverse, upstream, interpret=interpret
    )


pallas_interpreted = functools.partial(pallas, interpret=True)
pallas_interpreted_adjoint = functools.partial(pallas_adjoint, interpret=True)
