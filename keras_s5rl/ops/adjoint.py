"""The derivatives of the linear recurrence: recurrences again, the gradient run the other way."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.planes import multiply, one
from keras_s5rl.typing import Tensor


def solve_with_gradient(
    solve: Callable[..., Tensor],
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None,
    holds: Tensor | None,
    reverse: bool,
    solve_adjoint: Callable[..., Any] | None = None,
    axis: int = 0,
) -> Tensor:
    """Runs `solve`; its gradient is the same recurrence the other way, with the conjugate decay.

    It can be differentiated any number of times.

    Args:
        solve: `associative`, `sequential` or `pallas`.
        decay, inputs, initial_state, cuts, holds, reverse: As for `solve`.
        solve_adjoint: Function that computes the gradients, with the arguments and results of
            `pallas_adjoint`, or `None` for `solve` itself, run the other way. Defaults to `None`.
        axis: 0 or 1, which axis is time. `solve` and `solve_adjoint` take it if it is 1. Defaults
            to `0`.

    Returns:
        All states, shaped as `inputs`.
    """
    flags = _present((cuts, holds))
    solution = _solution(solve, solve_adjoint, reverse, axis, cuts is not None, holds is not None)
    return solution((decay, inputs, initial_state), flags)


@functools.cache
def _solution(
    solve: Callable[..., Tensor],
    solve_adjoint: Callable[..., Any] | None,
    reverse: bool,
    axis: int,
    has_cuts: bool,
    has_holds: bool,
) -> Callable[..., Tensor]:
    """The recurrence with its derivatives, a function of `(decay, inputs, initial_state), flags`.

    It is made once for each kind of recurrence, so that a backend compiles it once.
    """
    along = {"axis": 1} if axis else {}
    the_other_way = solve, solve_adjoint, not reverse, 0, has_cuts, has_holds

    def unpack(flags: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
        given = iter(flags)
        return next(given) if has_cuts else None, next(given) if has_holds else None

    def run(arguments: tuple[Tensor, Tensor, Tensor], flags: Sequence[Tensor]) -> Any:
        return solve(*arguments, *unpack(flags), reverse=reverse, **along)

    def tangent(
        arguments: tuple[Tensor, Tensor, Tensor],
        flags: Sequence[Tensor],
        states: Tensor,
        tangents: tuple[Tensor, Tensor, Tensor],
    ) -> Any:
        """With `'` for tangents: `x'_t = decay_t x'_{t-1} + decay'_t x_{t-1} + u'_t`."""
        decay, _, initial_state = arguments
        decay_tangent, inputs_tangent, initial_tangent = tangents
        if len(decay_tangent.shape) == 2:
            decay_tangent = ops.broadcast_to(decay_tangent, ops.shape(states))
        previous = _previous(states, initial_state, reverse, axis)
        added = multiply(decay_tangent, previous)
        for flag in flags:  # where the decay does not act
            added = ops.where(_broadcast_flag(flag), 0.0, added)
        return solution((decay, inputs_tangent + added, initial_tangent), flags)

    def gradient(
        arguments: tuple[Tensor, Tensor, Tensor],
        flags: Sequence[Tensor],
        states: Tensor,
        upstream: Tensor,
    ) -> Any:
        assert solve_adjoint is not None  # or this is not called
        decay, _, initial_state = arguments
        return solve_adjoint(
            decay, states, initial_state, *unpack(flags), reverse, upstream, **along
        )

    def differentiable_gradient(
        arguments: tuple[Tensor, Tensor, Tensor],
        flags: Sequence[Tensor],
        states: Tensor,
        upstream: Tensor,
    ) -> Any:
        decay, _, initial_state = arguments

        def swap(x: Tensor) -> Tensor:
            return ops.swapaxes(x, 0, 1) if axis else x

        varying = len(decay.shape) == 4
        decay = swap(decay) if varying else decay
        swapped_flags = unpack([swap(flag) for flag in flags])
        for_decay, for_inputs, for_initial_state = _adjoint(
            lambda *problem: _solution(*the_other_way)(problem[:3], _present(problem[3:])),
            *(decay, swap(states), initial_state, *swapped_flags, reverse, swap(upstream)),
        )
        for_decay = swap(for_decay) if varying else for_decay
        return for_decay, swap(for_inputs), for_initial_state

    solution = backend.custom_derivatives(
        run,
        tangent,
        differentiable_gradient if solve_adjoint is None else gradient,
        differentiable_gradient,
    )
    return solution


def _present(flags: Sequence[Tensor | None]) -> list[Tensor]:
    return [flag for flag in flags if flag is not None]


def _previous(states: Tensor, initial_state: Tensor, reverse: bool, axis: int) -> Tensor:
    """`x_{t-1}` at each t, in the order in which the recurrence runs."""
    first = ops.expand_dims(initial_state, axis)
    rest = slice(1, None) if reverse else slice(None, -1)
    rest = states[:, rest] if axis else states[rest]
    return ops.concatenate([rest, first] if reverse else [first, rest], axis=axis)


def solve_one_step(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None,
    holds: Tensor | None,
    axis: int = 0,
) -> Tensor:
    """One multiply-add, of inputs whose time has one step; its gradient is automatic."""
    previous = ops.expand_dims(initial_state, axis)
    if cuts is not None:
        # Before the product too: the gradient for the decay is a multiple of its other factor.
        previous = ops.where(_broadcast_flag(cuts), 0.0, previous)
    return _carry(decay, previous, cuts, holds) + inputs


def _adjoint(
    solve: Callable[..., Tensor],
    decay: Tensor,
    states: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None,
    holds: Tensor | None,
    reverse: bool,
    upstream: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for decay, inputs and initial state, time-major; `solve` runs the other way.

    With g the upstream gradient, l_t = g_t + (0 if cut_{t+1} else conj(decay_{t+1}) l_{t+1}) is the
    gradient for input t.
    """
    varying = len(decay.shape) == 4
    conjugate = decay
    if decay.shape[-2] == 2:
        sign = ops.reshape(ops.convert_to_tensor([1.0, -1.0], dtype="float32"), (2, 1))
        conjugate = decay * sign

    def following(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        none = ops.zeros_like(values[:1])
        pieces = [none, values[:-1]] if reverse else [values[1:], none]
        return ops.concatenate(pieces, axis=0)

    adjoint = solve(
        following(conjugate) if varying else conjugate,
        upstream,
        ops.zeros_like(initial_state),
        following(cuts),
        following(holds),
    )

    first = slice(-1, None) if reverse else slice(0, 1)
    rest = slice(None, -1) if reverse else slice(1, None)
    previous = states[1:] if reverse else states[:-1]

    def part(values: Tensor | None, where: slice) -> Tensor | None:
        return None if values is None else values[where]

    initial_gradient = _carry(
        conjugate[first] if varying else conjugate,
        adjoint[first],
        part(cuts, first),
        part(holds, first),
    )[0]
    decay_first = _decay_part(
        initial_state[None], adjoint[first], part(cuts, first), part(holds, first)
    )
    decay_rest = _decay_part(previous, adjoint[rest], part(cuts, rest), part(holds, rest))
    if varying:
        pieces = [decay_rest, decay_first] if reverse else [decay_first, decay_rest]
        decay_gradient = ops.concatenate(pieces, axis=0)
    else:
        decay_gradient = ops.sum(decay_first, axis=(0, 1)) + ops.sum(decay_rest, axis=(0, 1))
    return decay_gradient, adjoint, initial_gradient


def _carry(decay: Tensor, previous: Tensor, cuts: Tensor | None, holds: Tensor | None) -> Tensor:
    """`decay * previous`, zero where cut; the decay is 1 where held."""
    if holds is not None:
        decay = ops.where(_broadcast_flag(holds), one(decay.shape[-2]), decay)
    result = multiply(decay, previous)
    if cuts is not None:
        result = ops.where(_broadcast_flag(cuts), 0.0, result)
    return result


def _decay_part(
    previous: Tensor, adjoint: Tensor, cuts: Tensor | None, holds: Tensor | None
) -> Tensor:
    """`conj(previous) * adjoint`, zero where the decay did not act."""
    if previous.shape[2] == 1:
        result = previous * adjoint
    else:
        previous_re, previous_im = previous[:, :, 0], previous[:, :, 1]
        adjoint_re, adjoint_im = adjoint[:, :, 0], adjoint[:, :, 1]
        result = ops.stack(
            [
                previous_re * adjoint_re + previous_im * adjoint_im,
                previous_re * adjoint_im - previous_im * adjoint_re,
            ],
            axis=2,
        )
    for flag in (cuts, holds):
        if flag is not None:
            result = ops.where(_broadcast_flag(flag), 0.0, result)
    return result


def _broadcast_flag(flag: Tensor) -> Tensor:
    return flag[..., None, None]
