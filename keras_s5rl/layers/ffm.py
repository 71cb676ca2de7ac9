"""Fast and forgetful memory (FFM), a sum of decaying and turning traces, with resets."""

import functools
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.checks import (
    check_features,
    check_number,
    check_positive_integers,
    refuse_step_scale,
)
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Normal, derive_seeds
from keras_s5rl.layers.linear_recurrence_layer import LinearRecurrenceLayer, add_float32_weight
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.ops import product, rowwise
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class FFM(LinearRecurrenceLayer):
    """Fast and forgetful memory (FFM) with resets.

    Each of `memory_size` traces is kept `context_size` times, turning at another frequency, so that
    it says when something was seen as well as what:

        v_t = (W_1 u_t + b_1) * sigmoid(W_2 u_t + b_2)
        S_t[j, k] = exp(-|alpha_j| + i omega_k) * (0 if reset_t else S_{t-1}[j, k]) + v_t[j]
        z_t = norm(W_3 [Re S_t, Im S_t] + b_3)
        y_t = z_t * o_t + (W_5 u_t + b_5) * (1 - o_t),    o_t = sigmoid(W_4 u_t + b_4)

    Nothing that is remembered grows. State and recurrence are float32 under every dtype policy;
    only the products with weights follow the policy.

    The equations are those of the paper, but that `norm` has a scale and an offset here, which
    train. Initial values are ours: durations (after which a hundredth of a trace is left) and
    periods are spread from 2 to `max_period` steps, evenly by their logarithm, so that as many
    traces last from 4 to 8 steps as from 256 to 512.

    Args:
        units: Positive integer, features of the output.
        memory_size: Positive integer, the number of traces. Defaults to `32`.
        context_size: Positive integer, the number of frequencies. Defaults to `4`.
        max_period: Float of 2 or more, the longest initial duration and period, in steps. Defaults
            to `1024.0`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        implementation: As for `keras_s5rl.ops.linear_recurrence`. Defaults to `"auto"`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Float32 tensor `(batch, 2, memory_size * context_size)`, real and imaginary
            parts, or a list of one, or `None` for zeros.
        resets, mask, training: As for `S5`.
        step_scale: Not for a recurrence in discrete time: anything but `None` raises.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, units)`, or `(batch, units)` with `return_sequences=False`; with
        `return_state` a tuple of it and the state.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import FFM
    >>> layer = FFM(8, memory_size=4, context_size=2, return_state=True)
    >>> outputs, state = layer(np.ones((2, 5, 3), "float32"), resets=np.zeros((2, 5), bool))
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 8), (2, 2, 8))

    Reference:
    - Morad et al., "Reinforcement learning with fast and forgetful memory", 2023.
    """

    is_complex = True

    def __init__(
        self,
        units: int,
        memory_size: int = 32,
        context_size: int = 4,
        max_period: float = 1024.0,
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
        check_positive_integers(units=units, memory_size=memory_size, context_size=context_size)
        check_number("max_period", max_period, "a number of steps from 2", lambda steps: steps >= 2)
        self.units = units
        self.memory_size = memory_size
        self.context_size = context_size
        self.max_period = max_period
        self.norm = RowNormalization(epsilon=1e-5, dtype=self.dtype_policy, name="norm")

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(2, self.memory_size * self.context_size)]

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
        input_seed, mixing_seed = derive_seeds(self.seed, 2)

        add = functools.partial(add_float32_weight, self)
        # Of v and its gate, of o and of what is added to the memory, side by side.
        width = 2 * (self.memory_size + self.units)
        self.kernel = add("kernel", (features, width), Normal(features**-0.5, seed=input_seed))
        self.bias = add("bias", (width,), "zeros")
        self.alpha = add("alpha", (self.memory_size,), self._spread(-np.log(0.01)))
        self.omega = add("omega", (self.context_size,), self._spread(2 * np.pi))
        entries = 2 * self.memory_size * self.context_size
        self.mixing_kernel = add(
            "mixing_kernel", (entries, self.units), Normal(entries**-0.5, seed=mixing_seed)
        )
        self.mixing_bias = add("mixing_bias", (self.units,), "zeros")
        self.norm.build((None, self.units))
        self._create_states(inputs_shape[0])
        self.built = True

    def _spread(self, angle: float) -> Any:
        """An initializer: rates at which it takes 2 to `max_period` steps to come this far."""

        def initialize(shape: Sequence[int], dtype: str | None = None) -> Tensor:
            steps = np.geomspace(self.max_period, 2.0, shape[0])
            return ops.convert_to_tensor((angle / steps).astype("float32"), dtype=dtype)

        return initialize

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
        decay, kernel, mixing_kernel = self._derive() if derived is None else derived.of(self)
        ends = [self.memory_size, 2 * self.memory_size, 2 * self.memory_size + self.units]
        values, gate, output_gate, added = ops.split(
            product(inputs, kernel) + self.bias, ends, axis=-1
        )
        values = ops.repeat(values * ops.sigmoid(gate), self.context_size, axis=-1)
        values = ops.stack([values, ops.zeros_like(values)], axis=-2)
        history, states = self.recur(decay, values, states, resets, mask, reverse)
        rows = ops.reshape(history, (*ops.shape(inputs)[:2], mixing_kernel.shape[0]))
        mixed = product(ops.cast(rows, self.compute_dtype), mixing_kernel) + self.mixing_bias
        mixed = ops.cast(rowwise(self.norm, mixed), "float32")
        output_gate = ops.sigmoid(output_gate)
        outputs = mixed * output_gate + added * (1 - output_gate)
        return ops.cast(outputs, self.compute_dtype), states

    def derive_weights(self) -> tuple[Tensor, ...]:
        """The decay, and both kernels in the dtype that their products are computed in."""
        decay, *kernels = self._derive()
        return decay, *(ops.cast(kernel, self.compute_dtype) for kernel in kernels)

    def _derive(self) -> tuple[Tensor, Tensor, Tensor]:
        radius, angle = ops.exp(-ops.abs(self.alpha))[:, None], ops.convert_to_tensor(self.omega)
        decay = ops.stack([radius * ops.cos(angle), radius * ops.sin(angle)])
        kernels = map(ops.convert_to_tensor, (self.kernel, self.mixing_kernel))
        return ops.reshape(decay, (2, -1)), *kernels

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "memory_size": self.memory_size,
            "context_size": self.context_size,
            "max_period": self.max_period,
        }
