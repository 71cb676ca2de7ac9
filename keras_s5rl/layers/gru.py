"""The gated recurrent unit (GRU), with resets."""

from typing import Any

import keras
from keras import ops

from keras_s5rl.layers.gated_layer import GatedLayer
from keras_s5rl.typing import Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class GRU(GatedLayer):
    """Gated recurrent unit (GRU) with resets: `keras.layers.GRU`, with the call signature of `S5`.

        z_t, r_t = sigmoid(W_z u_t + R_z h + b_z + c_z), sigmoid(W_r u_t + R_r h + b_r + c_r)
        g_t = tanh(W_g u_t + b_g + r_t * (R_g h + c_g)),    h = 0 if reset_t else h_{t-1}
        h_t = z_t * h + (1 - z_t) * g_t

    The product with the input is one for all steps, so that the loop over time holds the product
    with the output alone. Weights are those of `keras.layers.GRUCell` with its
    defaults, in their order, so that `set_weights` takes over a trained cell. State and loop are
    float32 under every dtype policy; only the product with the input follows the policy.

    Args:
        units: Positive integer, features of the output.
        kernel_initializer: Keras initializer of the weights of the input, or `None` for an
            orthogonal matrix drawn from `seed`. Defaults to `None`.
        recurrent_initializer: Keras initializer of the weights of the output, or `None` for an
            orthogonal matrix drawn from `seed`. Defaults to `None`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        seed: Integer, or `None` for Keras' global seed; initial weights are drawn from it. Defaults
            to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Float32 tensor `(batch, units)` or a list of one, or `None` for zeros.
        resets, mask, training: As for `S5`.
        step_scale: Not for a recurrence in discrete time: anything but `None` raises.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, units)`, or `(batch, units)` with `return_sequences=False`; with
        `return_state` a tuple of it and the state, float32 `(batch, units)`.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import GRU
    >>> layer = GRU(4, return_state=True)
    >>> outputs, state = layer(np.ones((2, 5, 3), "float32"), resets=np.zeros((2, 5), bool))
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 4), (2, 4))

    Reference:
    - Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
      translation", 2014 (here with the reset gate after the product, as in cuDNN).
    """

    num_gates = 3

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.units,)]

    @property
    def single_state(self) -> bool:
        return True

    def make_bias(self, add: Any) -> Any:
        return add("bias", (2, 3 * self.units), "zeros")

    def biases(self) -> tuple[Tensor, Tensor | None]:
        bias = ops.convert_to_tensor(self.bias)
        return bias[0], bias[1]

    def advance(self, inputs: Tensor, recurrent: Tensor, states: list[Tensor]) -> list[Tensor]:
        (u_z, u_r, u_g), (p_z, p_r, p_g) = (ops.split(x, 3, axis=-1) for x in (inputs, recurrent))
        z, r = ops.sigmoid(u_z + p_z), ops.sigmoid(u_r + p_r)
        return [z * states[0] + (1 - z) * ops.tanh(u_g + r * p_g)]
