"""The linear recurrence as one loop over time: the least work and memory, T dependent steps."""

from keras import ops

from keras_s5rl import backend


def sequential(decay, inputs, initial_state, cuts=None, holds=None, reverse=False):
    """Solves the recurrence with one `backend.scan`, time-major.

    The carry is two real planes: on XLA's CPU one fused kernel a step, near the machine's
    streaming rate.

    Args:
        decay: Float32 `(2, P)`, or `(time, batch, 2, P)`.
        inputs: Float32 `(time, batch, 2, P)`.
        initial_state: Float32 `(batch, 2, P)`.
        cuts: Bool `(time, batch)` or `None`. Where true, the carried state is cleared first.
        holds: Bool `(time, batch)` or `None`. Where true, the decay of the step is 1.
        reverse: Whether to run from the last step to the first.

    Returns:
        All states, float32 `(time, batch, 2, P)`.
    """
    varying = len(decay.shape) == 4
    steps = {"inputs": inputs}
    if varying:
        steps["decay"] = decay
    if cuts is not None:
        steps["cut"] = cuts
    if holds is not None:
        steps["hold"] = holds

    def advance(carry, step):
        state_re, state_im = carry
        if cuts is not None:
            cut = ops.expand_dims(step["cut"], -1)
            state_re = ops.where(cut, 0.0, state_re)
            state_im = ops.where(cut, 0.0, state_im)
        if varying:
            decay_re, decay_im = step["decay"][:, 0], step["decay"][:, 1]
        else:
            decay_re, decay_im = decay[0], decay[1]
        if holds is not None:
            hold = ops.expand_dims(step["hold"], -1)
            decay_re = ops.where(hold, 1.0, decay_re)
            decay_im = ops.where(hold, 0.0, decay_im)
        state = (
            decay_re * state_re - decay_im * state_im + step["inputs"][:, 0],
            decay_re * state_im + decay_im * state_re + step["inputs"][:, 1],
        )
        # Joined here, while it is in cache, and not after the loop.
        return state, ops.stack(state, axis=1)

    carry = (initial_state[:, 0], initial_state[:, 1])
    _, states = backend.scan(advance, carry, steps, reverse=reverse)
    return states
