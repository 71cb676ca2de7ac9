"""What a layer over time gives at masked steps: its last output again."""

from typing import Any

from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.loop_steps import resets_in_reverse
from keras_s5rl.typing import Tensor


def hold_outputs(
    outputs: Tensor, mask: Tensor | None, resets: Tensor | None = None, reverse: bool = False
) -> Tensor:
    """Puts the last output since the last reset in the place of those at masked steps.

    Args:
        outputs: Tensor `(time, batch, units)`.
        mask: Bool tensor `(time, batch)`. False where the output is to be replaced.
        resets: Bool tensor `(time, batch)`, or `None`. True where an episode begins.
        reverse: Whether time runs backwards; episodes are cut at the same places.

    Returns:
        Tensor `(time, batch, units)`; zeros where the episode has had no output yet.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers.held_outputs import hold_outputs
    >>> outputs = np.arange(1.0, 5.0).reshape(4, 1, 1)
    >>> held = hold_outputs(outputs, np.array([[False], [True], [False], [True]]))
    >>> [float(x) for x in held[:, 0, 0]]
    [0.0, 2.0, 2.0, 4.0]
    """
    steps = {"time": ops.arange(ops.shape(outputs)[0], dtype="int32"), "valid": mask}
    if resets is not None:
        if reverse:
            resets = resets_in_reverse(resets)
        steps["cut"] = resets

    def advance(last: Any, step: Any) -> Any:
        if resets is not None:
            last = ops.where(step["cut"], -1, last)
        last = ops.where(step["valid"], step["time"], last)
        return last, last

    none_yet = ops.full((ops.shape(outputs)[1],), -1, dtype="int32")
    _, last = backend.scan(advance, none_yet, steps, reverse=reverse)
    # Under the floatx bfloat16 Keras makes a float of the maximum with a Python number.
    index = ops.maximum(last, ops.zeros_like(last))
    held = ops.take_along_axis(outputs, index[..., None], axis=0)
    return ops.where(last[..., None] >= 0, held, ops.zeros_like(held))
