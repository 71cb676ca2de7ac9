"""The gradient of the linear recurrence: the same recurrence, run the other way."""

import functools

from keras import ops

from keras_s5rl.ops.planes import multiply, one


def solve_with_gradient(
    solve, decay, inputs, initial_state, cuts, holds, reverse, solve_adjoint=None
):
    """Runs `solve`; its gradient is the same recurrence the other way, with the conjugate decay.

    The flags travel as float32 arguments with zero gradients: JAX does not let a custom gradient
    close over traced values.

    Args:
        solve: `associative`, `sequential` or `pallas`.
        decay, inputs, initial_state, cuts, holds, reverse: As for `solve`.
        solve_adjoint: Function that computes the gradients, with the arguments and results of
            `pallas_adjoint`, or `None` for `solve` itself, run the other way. Defaults to `None`.

    Returns:
        All states, shaped as `inputs`.
    """
    if solve_adjoint is None:
        solve_adjoint = functools.partial(_adjoint, solve)
    flags = [ops.cast(flag, "float32") for flag in (cuts, holds) if flag is not None]

    def unpack(flags):
        flags = [ops.cast(flag, "bool") for flag in flags]
        return (
            flags.pop(0) if cuts is not None else None,
            flags.pop(0) if holds is not None else None,
        )

    @ops.custom_gradient
    def run(decay, inputs, initial_state, *flags):
        states = solve(decay, inputs, initial_state, *unpack(flags), reverse=reverse)
        # Detached: torch would keep the graph alive for ever through a closure over its own output.
        saved = ops.stop_gradient(states)

        def gradient(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            gradients = solve_adjoint(
                decay, saved, initial_state, *unpack(flags), reverse, upstream
            )
            return (*gradients, *(ops.zeros_like(flag) for flag in flags))

        return states, gradient

    return run(decay, inputs, initial_state, *flags)


def solve_one_step(decay, inputs, initial_state, cuts, holds, axis=0):
    """One multiply-add, of inputs whose time has one step; its gradient is automatic."""
    previous = ops.expand_dims(initial_state, axis)
    if cuts is not None:
        # Before the product too: the gradient for the decay is a multiple of its other factor.
        previous = ops.where(_broadcast_flag(cuts), 0.0, previous)
    return _carry(decay, previous, cuts, holds) + inputs


def _adjoint(solve, decay, states, initial_state, cuts, holds, reverse, upstream):
    """Gradients for decay, inputs and initial state.

    With g the upstream gradient, l_t = g_t + (0 if cut_{t+1} else conj(decay_{t+1}) l_{t+1}) is the
    gradient for input t.
    """
    varying = len(decay.shape) == 4
    conjugate = decay
    if decay.shape[-2] == 2:
        sign = ops.reshape(ops.convert_to_tensor([1.0, -1.0], dtype="float32"), (2, 1))
        conjugate = decay * sign

    def following(values):
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
        reverse=not reverse,
    )

    first = slice(-1, None) if reverse else slice(0, 1)
    rest = slice(None, -1) if reverse else slice(1, None)
    previous = states[1:] if reverse else states[:-1]

    def part(values, where):
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


def _carry(decay, previous, cuts, holds):
    """`decay * previous`, zero where cut; the decay is 1 where held."""
    if holds is not None:
        decay = ops.where(_broadcast_flag(holds), one(decay.shape[-2]), decay)
    result = multiply(decay, previous)
    if cuts is not None:
        result = ops.where(_broadcast_flag(cuts), 0.0, result)
    return result


def _decay_part(previous, adjoint, cuts, holds):
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


def _broadcast_flag(flag):
    return flag[..., None, None]
