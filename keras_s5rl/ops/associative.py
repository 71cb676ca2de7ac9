"""The linear recurrence as the paper's parallel scan: about 2 log2(T) dependent steps."""

from keras import ops

from keras_s5rl.ops.planes import multiply, one
from keras_s5rl.typing import Tensor


def associative(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None = None,
    holds: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """Solves the recurrence by an odd-even scan over the paper's operator, time-major.

    An element is `(a, b, c)`, the map `x -> a * (0 if c else x) + b`, and two neighbours join as

        (a_i, b_i, c_i) + (a_j, b_j, c_j) = (a_j a_i, a_j b_i + b_j, c_i)   if not c_j
                                          = (a_j,     b_j,           c_j)   if c_j

    ("Structured State Space Models for In-Context Reinforcement Learning", appendix A; here by
    selection, so that a NaN before a reset does not cross it). All blocks joined at one level have
    the same length, so a constant decay is squared once a level and never laid out over time.

    Args:
        decay: Float32 `(planes, P)`, or `(time, batch, planes, P)`; planes is 1 or 2.
        inputs: Float32 `(time, batch, planes, P)`, with a static `time`.
        initial_state: Float32 `(batch, planes, P)`.
        cuts: Bool `(time, batch)` or `None`. Where true, the carried state is cleared first.
        holds: Bool `(time, batch)` or `None`. Where true, the decay of the step is 1.
        reverse: Whether to run from the last step to the first.

    Returns:
        All states, float32 `(time, batch, planes, P)`.
    """
    if cuts is not None:
        cuts = cuts[..., None, None]
    if holds is not None:
        decay = ops.where(holds[..., None, None], one(inputs.shape[2]), decay)
    if reverse:
        inputs = ops.flip(inputs, axis=0)
        cuts = None if cuts is None else ops.flip(cuts, axis=0)
        decay = ops.flip(decay, axis=0) if len(decay.shape) == 4 else decay
    first = _join(_at(decay, 0, 1), inputs[:1], _at(cuts, 0, 1), initial_state[None])
    states = _scan(decay, ops.concatenate([first, inputs[1:]], axis=0), cuts)
    return ops.flip(states, axis=0) if reverse else states


def _scan(decay: Tensor, inputs: Tensor, cuts: Tensor | None) -> Tensor:
    """All prefixes of the elements: join pairs, scan the pairs, fill in the steps between."""
    length = inputs.shape[0]
    if length == 1:
        return inputs
    pairs = length - length % 2
    later = slice(1, pairs, 2)
    pair_inputs = _join(
        _at(decay, 1, pairs, 2), inputs[later], _at(cuts, 1, pairs, 2), inputs[0:pairs:2]
    )
    pair_decay, pair_cuts = _join_decays(decay, cuts, pairs)
    odd = _scan(pair_decay, pair_inputs, pair_cuts)
    even = inputs[:1]
    if length > 2:
        rest = _join(
            _at(decay, 2, length, 2),
            inputs[2::2],
            _at(cuts, 2, length, 2),
            odd[: (length - 1) // 2],
        )
        even = ops.concatenate([even, rest], axis=0)
    woven = ops.stack([even[: pairs // 2], odd], axis=1)
    woven = ops.reshape(woven, (pairs, *ops.shape(inputs)[1:]))
    return woven if pairs == length else ops.concatenate([woven, even[-1:]], axis=0)


def _join(decay: Tensor, inputs: Tensor, cuts: Tensor | None, before: Tensor) -> Tensor:
    """`decay * (0 if cut else before) + inputs`."""
    carried = multiply(decay, before)
    if cuts is not None:  # after the product: neither of its factors crosses a cut
        carried = ops.where(cuts, 0.0, carried)
    return carried + inputs


def _join_decays(decay: Tensor, cuts: Tensor | None, pairs: int) -> tuple[Tensor, Tensor | None]:
    """Decay and cut of each joined pair: the earlier cut, or any cut, clears what came before."""
    if len(decay.shape) == 2:
        pair_decay = multiply(decay, decay)
    else:
        earlier, later = decay[0:pairs:2], decay[1:pairs:2]
        pair_decay = multiply(later, earlier)
    pair_cuts = None if cuts is None else ops.logical_or(cuts[0:pairs:2], cuts[1:pairs:2])
    return pair_decay, pair_cuts


def _at(values: Tensor, start: int | None, stop: int | None, step: int = 1) -> Tensor:
    """A slice of time of what varies over time; the constant decay and `None` as they are."""
    if values is None or len(values.shape) == 2:
        return values
    return values[start:stop:step]
