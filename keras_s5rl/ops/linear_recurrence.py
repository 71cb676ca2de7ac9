"""The diagonal linear recurrence with resets, and its analytic gradient."""

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.associative import associative, multiply
from keras_s5rl.ops.sequential import sequential

_IMPLEMENTATIONS = {"associative": associative, "sequential": sequential}


def linear_recurrence(
    decay,
    inputs,
    initial_state=None,
    resets=None,
    mask=None,
    reverse=False,
    implementation="auto",
):
    """Solves a diagonal complex linear recurrence over time, with resets.

        x_t = decay_t * (0 if reset_t else x_{t-1}) + u_t,    t = 0 .. T-1
        x_{-1} = initial_state

    A reset says that input t is the first of a new episode: the state is cleared before input t is
    taken in, by selection, so that not even a NaN survives it. A masked step (`mask_t = False`)
    keeps the state, `x_t = x_{t-1}`, and takes nothing in; if it also has a reset, the state is
    cleared first. With `reverse=True` time runs backwards, and episodes are cut at the same places:

        x_t = decay_t * (0 if reset_{t+1} else x_{t+1}) + u_t,    t = T-1 .. 0
        x_T = initial_state,    reset_T = False

    Complex numbers are pairs of real planes on the last axis but one: index 0 real, 1 imaginary.
    All is computed in float32, whatever the dtype policy: a bfloat16 state saturates. The gradient
    is the same recurrence run the other way; it stores the states alone.

    Args:
        decay: Tensor `(2, P)`, constant in time, or `(batch, time, 2, P)`.
        inputs: Tensor `(batch, time, 2, P)`.
        initial_state: Tensor `(batch, 2, P)`, or `None` for zeros. Defaults to `None`.
        resets: Bool tensor `(batch, time)`, or `None` for no resets. Defaults to `None`.
        mask: Bool tensor `(batch, time)`, or `None` for all true. Defaults to `None`.
        reverse: Whether time runs backwards. Defaults to `False`.
        implementation: `"sequential"` (one loop over time), `"associative"` (the paper's parallel
            scan, about `2 log2(T)` dependent steps; needs a static `time`) or `"auto"`, the faster
            of the two for the device. Defaults to `"auto"`.

    Returns:
        All states, float32 `(batch, time, 2, P)`.

    Raises:
        ValueError: If a shape or the name of the implementation is wrong, or if `"associative"` is
            asked for with a `time` that is not static.

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
    decay, inputs = _as_float32("decay", decay), _as_float32("inputs", inputs)
    if len(inputs.shape) != 4 or inputs.shape[2] != 2:
        raise ValueError(
            "`inputs` should have shape (batch, time, 2, P): real and imaginary planes on axis 2. "
            f"Received: inputs.shape={tuple(inputs.shape)}"
        )
    batch, time, _, features = inputs.shape
    varying = len(decay.shape) == 4
    if not varying and len(decay.shape) != 2:
        raise ValueError(
            "`decay` should have shape (2, P), or (batch, time, 2, P) where it changes over time. "
            f"Received: decay.shape={tuple(decay.shape)}"
        )
    _check_shape("decay", decay, (batch, time, 2, features) if varying else (2, features))
    if initial_state is not None:
        initial_state = _as_float32("initial_state", initial_state)
        _check_shape("initial_state", initial_state, (batch, 2, features))
    flags = {}
    for name, flag in (("resets", resets), ("mask", mask)):
        if flag is not None:
            flag = ops.cast(ops.convert_to_tensor(flag), "bool")
            _check_shape(name, flag, (batch, time))
            flag = ops.transpose(flag)
        flags[name] = flag
    states = linear_recurrence_time_major(
        _swap_batch_and_time(decay) if varying else decay,
        _swap_batch_and_time(inputs),
        initial_state,
        **flags,
        reverse=reverse,
        implementation=implementation,
    )
    return _swap_batch_and_time(states)


def linear_recurrence_time_major(
    decay,
    inputs,
    initial_state=None,
    resets=None,
    mask=None,
    reverse=False,
    implementation="auto",
):
    """`linear_recurrence` with time as the leading axis, for layers that are time-major inside.

    Args:
        decay: Float32 tensor `(2, P)` or `(time, batch, 2, P)`.
        inputs: Float32 tensor `(time, batch, 2, P)`.
        initial_state: Float32 tensor `(batch, 2, P)` or `None`.
        resets: Bool tensor `(time, batch)` or `None`.
        mask: Bool tensor `(time, batch)` or `None`.
        reverse: Whether time runs backwards.
        implementation: As for `linear_recurrence`.

    Returns:
        All states, float32 `(time, batch, 2, P)`.
    """
    solve = _choose(implementation, inputs.shape[0])
    if inputs.shape[0] == 0:
        return inputs
    if initial_state is None:
        initial_state = ops.zeros((ops.shape(inputs)[1], 2, inputs.shape[3]), dtype="float32")
    if resets is not None and reverse:
        resets = ops.concatenate([resets[1:], ops.zeros_like(resets[:1])], axis=0)
    holds = None
    if mask is not None:
        holds = ops.logical_not(mask)
        inputs = ops.where(_broadcast_flag(holds), 0.0, inputs)
    if inputs.shape[0] == 1:
        state = _previous_part(decay, initial_state[None], resets, holds)
        return state + inputs
    return _solve_with_gradient(solve, decay, inputs, initial_state, resets, holds, reverse)


def _choose(implementation, time):
    """The function that solves the recurrence.

    Measured on two CPU cores: under XLA the loop runs and compiles faster at every shape (1.5 to 2
    times in gradients, 4 to 8 in compilation); torch pays for each operation it launches, and the
    parallel scan launches fewer. On accelerators it is chosen for its few dependent steps, not yet
    from a measurement.
    """
    if implementation == "auto":
        eager = keras.backend.backend() == "torch"
        parallel = time is not None and (eager or backend.device_name() != "cpu")
        return associative if parallel else sequential
    if implementation not in _IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` should be one of {['auto', *_IMPLEMENTATIONS]}. "
            f"Received: implementation={implementation!r}"
        )
    if implementation == "associative" and time is None:
        raise ValueError(
            "`implementation='associative'` needs a static number of time steps. Give the input "
            f"a fixed length, or use 'sequential' or 'auto'. "
            f"Received: implementation={implementation!r} with time=None"
        )
    return _IMPLEMENTATIONS[implementation]


def _solve_with_gradient(solve, decay, inputs, initial_state, cuts, holds, reverse):
    """Runs `solve`; its gradient is the same recurrence the other way, with the conjugate decay.

    The flags travel as float32 arguments with zero gradients: JAX does not let a custom gradient
    close over traced values.
    """
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
            cuts, holds = unpack(flags)
            gradients = _adjoint(solve, decay, saved, initial_state, cuts, holds, reverse, upstream)
            return (*gradients, *(ops.zeros_like(flag) for flag in flags))

        return states, gradient

    return run(decay, inputs, initial_state, *flags)


def _adjoint(solve, decay, states, initial_state, cuts, holds, reverse, upstream):
    """Gradients for decay, inputs and initial state.

    With g the upstream gradient, l_t = g_t + (0 if cut_{t+1} else conj(decay_{t+1}) l_{t+1}) is the
    gradient for input t.
    """
    varying = len(decay.shape) == 4
    sign = ops.reshape(ops.convert_to_tensor([1.0, -1.0], dtype="float32"), (2, 1))
    conjugate = decay * sign
    shift = 1 if reverse else -1

    def following(values):
        # What wraps around meets the zero state that the adjoint starts from.
        return None if values is None else ops.roll(values, shift, axis=0)

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

    initial_gradient = _previous_part(
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


def _previous_part(decay, previous, cuts, holds):
    """`decay * previous`, zero where cut, `previous` itself where held."""
    result = multiply(decay, previous)
    if holds is not None:
        result = ops.where(_broadcast_flag(holds), previous, result)
    if cuts is not None:
        result = ops.where(_broadcast_flag(cuts), 0.0, result)
    return result


def _decay_part(previous, adjoint, cuts, holds):
    """`conj(previous) * adjoint`, zero where the decay did not act."""
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


def _swap_batch_and_time(values):
    return ops.swapaxes(values, 0, 1)


def _as_float32(name, values):
    values = ops.convert_to_tensor(values)
    if "complex" in keras.backend.standardize_dtype(values.dtype):
        raise ValueError(
            f"`{name}` should be real: stack real and imaginary parts on the last axis but one. "
            f"Received: {name}.dtype={keras.backend.standardize_dtype(values.dtype)}"
        )
    return ops.cast(values, "float32")


def _check_shape(name, values, expected):
    shape = tuple(values.shape)
    same = len(shape) == len(expected) and all(
        size == wanted or size is None or wanted is None
        for size, wanted in zip(shape, expected, strict=True)
    )
    if not same:
        raise ValueError(
            f"`{name}` should have shape {tuple(expected)}, to go with `inputs`. "
            f"Received: {name}.shape={shape}"
        )
