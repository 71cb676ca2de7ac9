"""The minimal gated recurrent unit (minGRU), whose gates do not see the state, with resets."""

import functools
from typing import Any, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_features, check_positive_integers, refuse_step_scale
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Normal, derive_seeds
from keras_s5rl.layers.linear_recurrence_layer import LinearRecurrenceLayer, add_float32_weight
from keras_s5rl.ops import product
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class MinGRU(LinearRecurrenceLayer):
    """Minimal gated recurrent unit (minGRU) with resets.

    The gate and the candidate of a GRU, read from the input alone. What is left is a linear
    recurrence with a real decay for each step, which runs in parallel over time:

        z_t = sigmoid(W_z u_t + b_z)
        h_t = (1 - z_t) * (0 if reset_t else h_{t-1}) + z_t * (W_h u_t + b_h)

    The output is `h_t`. Gates, state and recurrence are float32 under every dtype policy; only the
    matrix product follows the policy.

    Args:
        units: Positive integer, the number of states and of output features.
        return_sequences: Whether to return the outputs of all steps or of the last one. Defaults to
            `True`.
        return_state: Whether to return the state after the last step too. Defaults to `False`.
        stateful: Whether a batch starts from the state in which the last one ended. Defaults to
            `False`.
        go_backwards: Whether to run from the last step to the first, and return the outputs in that
            order. Resets and mask stay in the order of time of the inputs. Defaults to `False`.
        zero_output_for_mask: Whether a masked step gives zeros rather than the last output again.
            Defaults to `False`.
        implementation: As for `keras_s5rl.ops.linear_recurrence`. Defaults to `"auto"`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
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
    >>> from keras_s5rl.layers import MinGRU
    >>> layer = MinGRU(4, return_state=True)
    >>> inputs = np.ones((2, 5, 8), "float32")
    >>> resets = np.zeros((2, 5), bool)
    >>> outputs, state = layer(inputs, resets=resets)
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 4), (2, 4))
    >>> output, state = layer.step(inputs[:, 0], resets[:, 0], state)
    >>> tuple(output.shape)
    (2, 4)

    Reference:
    - "Were RNNs all we needed?" (section 3.1; Feng et al., 2024).
    """

    is_complex = False

    def __init__(
        self,
        units: int,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        implementation: str = "auto",
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            implementation=implementation,
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            seed=seed,
            **kwargs,
        )
        check_positive_integers(units=units)
        self.units = units

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.units,)]

    def output_size(self, features: int) -> int:
        return self.units

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features = check_features(inputs_shape)
        (seed,) = derive_seeds(self.seed, 1)

        add = functools.partial(add_float32_weight, self)
        # Of the gate, then of the candidate, side by side as in a Keras GRU.
        self.kernel = add("kernel", (features, 2 * self.units), Normal(features**-0.5, seed=seed))
        self.bias = add("bias", (2 * self.units,), "zeros")
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        mask: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        refuse_step_scale(self, step_scale)
        if inputs.shape[0] == 0:
            return ops.zeros((0, ops.shape(inputs)[1], self.units), inputs.dtype), states
        kernel = self.kernel if derived is None else derived.of(self)
        products = product(inputs, kernel) + self.bias
        gate, candidate = products[..., : self.units], products[..., self.units :]
        history, states = self.recur(
            ops.sigmoid(-gate),  # 1 - z, exact also where z is almost 1
            ops.sigmoid(gate) * candidate,
            states,
            resets,
            mask,
            reverse,
        )
        return ops.cast(history, self.compute_dtype), states

    def derive_weights(self) -> Tensor:
        """The kernel in the dtype that its product is computed in."""
        return ops.cast(self.kernel, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
        }
