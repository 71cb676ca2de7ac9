"""The linear recurrence as one loop over time: the least work and memory, T dependent steps."""

from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.planes import multiply_planes


def sequential(decay, inputs, initial_state, cuts=None, holds=None, reverse=False):
    """Solves the recurrence with one `backend.scan`, time-major.

    The carry is the planes apart: on XLA's CPU one fused kernel a step, near the machine's
    streaming rate.

    Args:
        decay: Float32 `(planes, P)`, or `(time, batch, planes, P)`; planes is 1 or 2.
        inputs: Float32 `(time, batch, planes, P)`.
        initial_state: Float32 `(batch, planes, P)`.
        cuts: Bool `(time, batch)` or `None`. Where true, the carried state is cleared first.
        holds: Bool `(time, batch)` or `None`. Where true, the decay of the step is 1.
        reverse: Whether to run from the last step to the first.

    Returns:
        All states, float32 `(time, batch, planes, P)`.
    """
    planes = range(inputs.shape[2])
    varying = len(decay.shape) == 4
    steps = {"inputs": inputs}
    if varying:
        steps["decay"] = decay
    if cuts is not None:
        steps["cut"] = cuts
    if holds is not None:
        steps["hold"] = holds

    def advance(state, step):
        factor = [step["decay"][:, plane] if varying else decay[plane] for plane in planes]
        if holds is not None:
            hold = ops.expand_dims(step["hold"], -1)
            factor = [ops.where(hold, 1.0 - plane, factor[plane]) for plane in planes]
        carried = multiply_planes(factor, state)
        if cuts is not None:  # after the product: neither of its factors crosses a cut
            cut = ops.expand_dims(step["cut"], -1)
            carried = [ops.where(cut, 0.0, part) for part in carried]
        state = tuple(carried[plane] + step["inputs"][:, plane] for plane in planes)
        # Joined here, while it is in cache, and not after the loop.
        return state, ops.stack(state, axis=1)

    start = tuple(initial_state[:, plane] for plane in planes)
    _, states = backend.scan(advance, start, steps, reverse=reverse)
    return states
