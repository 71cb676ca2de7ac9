"""Long short-term memory (LSTM), with resets."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.gated_layer import GatedLayer
from keras_s5rl.typing import Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class LSTM(GatedLayer):
    """Long short-term memory (LSTM) with resets: `keras.layers.LSTM`, with the call signature of
    `S5`.

        i_t, f_t, o_t = sigmoid(W_i u_t + R_i h + b_i), the same with f and with o
        g_t = tanh(W_g u_t + R_g h + b_g),    h, c = 0 if reset_t else h_{t-1}, c_{t-1}
        c_t = f_t * c + i_t * g_t
        h_t = o_t * tanh(c_t)

    The product with the input is one for all steps, so that the loop over time holds the product
    with the output alone. Weights are those of `keras.layers.LSTMCell` with its
    defaults, in their order, so that `set_weights` takes over a trained cell. States and loop are
    float32 under every dtype policy; only the product with the input follows the policy.

    Args:
        units: Positive integer, features of the output.
        kernel_initializer, recurrent_initializer: As for `GRU`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        seed: Integer, or `None` for Keras' global seed; initial weights are drawn from it. Defaults
            to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: List of two float32 tensors `(batch, units)`, h and c, or `None` for zeros.
        resets, mask, training: As for `S5`.
        step_scale: Not for a recurrence in discrete time: anything but `None` raises.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, units)`, or `(batch, units)` with `return_sequences=False`; with
        `return_state` a tuple of it, h and c, float32 `(batch, units)`.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import LSTM
    >>> layer = LSTM(4, return_state=True)
    >>> outputs, h, c = layer(np.ones((2, 5, 3), "float32"), resets=np.zeros((2, 5), bool))
    >>> tuple(outputs.shape), tuple(c.shape)
    ((2, 5, 4), (2, 4))

    Reference:
    - Hochreiter and Schmidhuber, "Long short-term memory", 1997.
    - Jozefowicz et al., "An empirical exploration of recurrent network architectures", 2015 (the
      forget gate's bias starts at 1).
    """

    num_gates = 4

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.units,), (self.units,)]

    def make_bias(self, add: Any) -> Any:
        return add("bias", (4 * self.units,), _one_for_the_forget_gate)

    def biases(self) -> tuple[Tensor, Tensor | None]:
        return ops.convert_to_tensor(self.bias), None

    def advance(self, inputs: Tensor, recurrent: Tensor, states: list[Tensor]) -> list[Tensor]:
        i, f, g, o = ops.split(inputs + recurrent, 4, axis=-1)
        c = ops.sigmoid(f) * states[1] + ops.sigmoid(i) * ops.tanh(g)
        return [ops.sigmoid(o) * ops.tanh(c), c]


def _one_for_the_forget_gate(shape: Sequence[int], dtype: str | None = None) -> Tensor:
    values = np.repeat(np.array([0, 1, 0, 0], "float32"), shape[0] // 4)
    return ops.convert_to_tensor(values, dtype=dtype)
