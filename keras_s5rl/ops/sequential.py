"""The linear recurrence as one loop over time: the least work and memory, T dependent steps."""

from typing import Any

from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.planes import multiply_planes
from keras_s5rl.typing import Tensor


def sequential(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None = None,
    holds: Tensor | None = None,
    reverse: bool = False,
    axis: int = 0,
) -> Tensor:
    """Solves the recurrence with one `backend.scan_in_place`.

    The carry is the planes apart; a step reads its input once and writes its state there. All
    planes of a row lie in one axis, because XLA's CPU compiler copies short rows number by
    number.

    Args:
        decay: Float32 `(planes, P)`, or of the shape of `inputs`; planes is 1 or 2.
        inputs: Float32 `(time, batch, planes, P)`, or with `axis=1` `(batch, time, planes, P)`.
        initial_state: Float32 `(batch, planes, P)`.
        cuts: Bool, the first two axes of `inputs`, or `None`. Where true, the carried state is
            cleared first.
        holds: Bool of that shape or `None`. Where true, the decay of the step is 1.
        reverse: Whether to run from the last step to the first.
        axis: 0 or 1, which axis is time.

    Returns:
        All states, shaped as `inputs`.
    """
    planes, varying = inputs.shape[2], len(decay.shape) == 4
    xs = _flags(cuts, holds)
    constant: list[Tensor] = []
    if varying:
        xs["decay"] = _flat(decay)
    else:
        constant = _planes(decay)

    def advance(state: Any, step_inputs: Tensor, x: Tensor, constant: Any) -> Any:
        factor = _split(x["decay"], planes) if varying else constant
        carried = _carried(factor, state, x.get("cut"), x.get("hold"))
        state = [a + b for a, b in zip(carried, _split(step_inputs, planes), strict=True)]
        return state, ops.concatenate(state, axis=-1)

    _, states = backend.scan_in_place(
        advance, _planes(initial_state), _flat(inputs), xs, constant, reverse, axis
    )
    return ops.reshape(states, ops.shape(inputs))


def sequential_adjoint(
    decay: Tensor,
    states: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None,
    holds: Tensor | None,
    reverse: bool,
    upstream: Tensor,
    axis: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of `sequential`, in one loop the other way.

    With g the upstream gradient, the gradient for input t is

        l_t = g_t + (0 if cut_{t+1} else conj(decay_{t+1}) l_{t+1})

    and that for decay t, summed over time and batch where it is constant, `conj(x_{t-1}) l_t`. Step
    t of the loop makes l_t and, for it has x_t at hand, the gradient for decay t + 1: so each state
    and each g is read once.

    Args:
        decay, initial_state, cuts, holds, reverse, axis: As for `sequential`.
        states: What `sequential` returned.
        upstream: Gradient for the states, of their shape.

    Returns:
        Gradients for decay, inputs and initial state.
    """
    planes, varying = states.shape[2], len(decay.shape) == 4
    conjugate = [] if varying else _conjugate(_planes(decay))
    no_flags = ops.zeros_like(initial_state[:, 0, 0], dtype="bool")
    xs = {"state": _flat(states), **_flags(cuts, holds)}
    # What step t + 1 leaves for step t: l, the flags, and the decay or the sum of its gradients.
    zeros = [ops.zeros_like(plane) for plane in _planes(initial_state)]
    carry = {"adjoint": zeros, **{name: no_flags for name in xs if name != "state"}}
    carry["decay" if varying else "sum"] = zeros
    values = {"adjoint": _flat(upstream)} | ({"decay": _flat(decay)} if varying else {})

    def retreat(later: Tensor, value: Tensor, x: Tensor, conjugate: Tensor) -> Any:
        flags = later.get("cut"), later.get("hold")
        factor = _conjugate(later["decay"]) if varying else conjugate
        carried = _carried(factor, later["adjoint"], *flags)
        part = _decay_part(_split(x["state"], planes), later["adjoint"], *flags)
        adjoint = [g + c for g, c in zip(_split(value["adjoint"], planes), carried, strict=True)]
        written = {"adjoint": ops.concatenate(adjoint, axis=-1)}
        now = {"adjoint": adjoint, **{name: x[name] for name in x if name != "state"}}
        if varying:
            now["decay"] = _split(value["decay"], planes)
            written["decay"] = ops.concatenate(part, axis=-1)
        else:
            now["sum"] = [total + p for total, p in zip(later["sum"], part, strict=True)]
        return now, written

    last, written = backend.scan_in_place(retreat, carry, values, xs, conjugate, not reverse, axis)
    flags = last.get("cut"), last.get("hold")
    factor = _conjugate(last["decay"]) if varying else conjugate
    initial_gradient = ops.stack(_carried(factor, last["adjoint"], *flags), axis=1)
    first = _decay_part(_planes(initial_state), last["adjoint"], *flags)
    if varying:
        parts = ops.reshape(written["decay"], ops.shape(states))
        decay_gradient = _shift(parts, ops.stack(first, axis=1), reverse, axis)
    else:
        decay_gradient = ops.stack(
            [ops.sum(total + p, axis=0) for total, p in zip(last["sum"], first, strict=True)]
        )
    return decay_gradient, ops.reshape(written["adjoint"], ops.shape(states)), initial_gradient


def _flags(cuts: Tensor | None, holds: Tensor | None) -> dict[str, Tensor]:
    """The flags that there are, by name."""
    return {name: flag for name, flag in (("cut", cuts), ("hold", holds)) if flag is not None}


def _flat(values: Tensor) -> Tensor:
    """`(..., planes, P)` as `(..., planes * P)`."""
    *leading, planes, features = ops.shape(values)
    return ops.reshape(values, (*leading, planes * features))


def _split(values: Tensor, planes: int) -> list[Tensor]:
    """The planes of `(..., planes * P)` as a list."""
    return ops.split(values, planes, axis=-1)


def _planes(values: Tensor) -> list[Tensor]:
    """The planes of `(..., planes, P)` as a list."""
    return [values[..., plane, :] for plane in range(values.shape[-2])]


def _conjugate(planes: list[Tensor]) -> list[Tensor]:
    return [planes[0], *(-plane for plane in planes[1:])]


def _carried(
    factor: list[Tensor], state: list[Tensor], cut: Tensor | None, hold: Tensor | None
) -> list[Tensor]:
    """What of a state comes through a step: `factor * state`, the state where held, 0 where cut."""
    if hold is not None:
        hold = ops.expand_dims(hold, -1)
        factor = [ops.where(hold, 1.0 - plane, part) for plane, part in enumerate(factor)]
    carried = multiply_planes(factor, state)
    if cut is not None:  # after the product: neither of its factors crosses a cut
        cut = ops.expand_dims(cut, -1)
        carried = [ops.where(cut, 0.0, part) for part in carried]
    return carried


def _decay_part(
    state: list[Tensor], adjoint: list[Tensor], cut: Tensor | None, hold: Tensor | None
) -> list[Tensor]:
    """`conj(state) * adjoint`, 0 where the decay did not act."""
    part = multiply_planes(_conjugate(state), adjoint)
    for flag in (cut, hold):
        if flag is not None:
            flag = ops.expand_dims(flag, -1)
            part = [ops.where(flag, 0.0, plane) for plane in part]
    return part


def _shift(values: Tensor, first: Tensor, reverse: bool, axis: int) -> Tensor:
    """`values`, one step later, with `first` where the time of the recurrence begins."""
    first = ops.expand_dims(first, axis)
    rest = [slice(None)] * 4
    rest[axis] = slice(1, None) if reverse else slice(None, -1)
    rest = values[tuple(rest)]
    return ops.concatenate([rest, first] if reverse else [first, rest], axis=axis)
