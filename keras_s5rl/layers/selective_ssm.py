"""The selective state-space layer of Mamba (S6), with resets."""

import functools
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.checks import check_number, check_positive_integers
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Normal, SoftplusStep, derive_seeds
from keras_s5rl.layers.linear_recurrence_layer import LinearRecurrenceLayer, add_float32_weight
from keras_s5rl.ops import product, scale
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class SelectiveSSM(LinearRecurrenceLayer):
    """Selective state-space layer (S6, the recurrence of Mamba) with resets.

    Each feature h has `state_size` real states n of its own. How long a step is, what it writes and
    what is read are functions of the input:

        delta_t = softplus(W_delta (W_low u_t) + b_delta) * step_scale_t
        x_t[n, h] = exp(delta_t[h] A[n, h]) * (0 if reset_t else x_{t-1}[n, h])
                    + delta_t[h] (W_B u_t)[n] u_t[h]
        y_t[h] = sum_n (W_C u_t)[n] x_t[n, h] + D[h] u_t[h],    A = -exp(A_log)

    A long step forgets and takes the input in, a short one keeps the state. No state can grow: the
    decay is below 1. Step sizes, states and recurrence are float32 under every dtype policy; only
    the products with weights follow the policy. The decay differs from step to step, so that
    memory and time go with `state_size * width` numbers a step.

    Args:
        width: Positive integer, features of input and output.
        state_size: Positive integer, states of each feature. Defaults to `16`.
        dt_rank: Positive integer, the rank of the map from the input to the step sizes, or `None`
            for a sixteenth of `width`, rounded up. Defaults to `None`.
        dt_min: Positive float, the smallest initial step size. Defaults to `1e-3`.
        dt_max: Positive float, the largest. Defaults to `1e-1`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        implementation: As for `keras_s5rl.ops.linear_recurrence`. Defaults to `"auto"`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, width)`.
        initial_state: Float32 tensor `(batch, state_size, width)` or a list of one, or `None` for
            zeros.
        resets, step_scale, mask, training: As for `S5`.

    Input shape:
        `(batch, time, width)`.

    Output shape:
        `(batch, time, width)`, or `(batch, width)` with `return_sequences=False`; with
        `return_state` a tuple of it and the state, float32 `(batch, state_size, width)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import SelectiveSSM
    >>> layer = SelectiveSSM(width=8, state_size=4, return_state=True)
    >>> inputs = np.ones((2, 5, 8), "float32")
    >>> resets = np.zeros((2, 5), bool)
    >>> outputs, state = layer(inputs, resets=resets)
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 8), (2, 4, 8))
    >>> output, state = layer.step(inputs[:, 0], resets[:, 0], state)
    >>> tuple(output.shape)
    (2, 8)

    Reference:
    - Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023
      (algorithm 2; initial values: section 3.6).
    """

    is_complex = False

    def __init__(
        self,
        width: int,
        state_size: int = 16,
        dt_rank: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
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
        check_positive_integers(width=width, state_size=state_size)
        if dt_rank is not None:
            check_positive_integers(dt_rank=dt_rank)
        check_number("dt_min", dt_min, "a positive number", lambda step: step > 0)
        check_number("dt_max", dt_max, "not below `dt_min`", lambda step: step >= dt_min)
        self.width = width
        self.state_size = state_size
        self.dt_rank = dt_rank
        self.dt_min = dt_min
        self.dt_max = dt_max

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.state_size, self.width)]

    def output_size(self, features: int) -> int:
        return self.width

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        if inputs_shape[-1] != self.width:
            raise ValueError(
                f"`inputs` of a selective state-space layer should have `width` features, "
                f"{self.width}: each has states of its own. "
                f"Received: inputs.shape={tuple(inputs_shape)}"
            )
        rank = self.dt_rank or -(-self.width // 16)
        input_seed, step_seed, bias_seed = derive_seeds(self.seed, 3)

        add = functools.partial(add_float32_weight, self)
        # Of the step sizes, of B and of C, side by side.
        self.input_kernel = add(
            "input_kernel",
            (self.width, rank + 2 * self.state_size),
            Normal(self.width**-0.5, seed=input_seed),
        )
        # The variance of the paper's uniform draws
        self.step_kernel = add(
            "step_kernel", (rank, self.width), Normal((3 * rank) ** -0.5, seed=step_seed)
        )
        self.step_bias = add(
            "step_bias", (self.width,), SoftplusStep(self.dt_min, self.dt_max, seed=bias_seed)
        )
        self.A_log = add("A_log", (self.state_size, self.width), _real_eigenvalues)
        self.D = add("D", (self.width,), "ones")
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
        if inputs.shape[0] == 0:
            return inputs, states
        rates, input_kernel, step_kernel = self._derive() if derived is None else derived.of(self)
        projected = product(inputs, input_kernel)
        rank, size = step_kernel.shape[0], self.state_size
        low, write, read = ops.split(projected, [rank, rank + size], axis=-1)
        steps = ops.softplus(
            product(ops.cast(low, self.compute_dtype), step_kernel) + self.step_bias
        )
        if step_scale is not None:
            steps = steps * step_scale[..., None]
        taken_in = steps * ops.cast(inputs, "float32")

        history, states = self.recur(
            ops.exp(steps[:, :, None] * rates),
            write[..., None] * taken_in[:, :, None],
            states,
            resets,
            mask,
            reverse,
        )
        outputs = ops.sum(read[..., None] * history, axis=2) + scale(inputs, self.D)
        return ops.cast(outputs, self.compute_dtype), states

    def derive_weights(self) -> tuple[Tensor, ...]:
        """The eigenvalues A, and both kernels in the dtype that their products are computed in."""
        rates, *kernels = self._derive()
        return rates, *(ops.cast(kernel, self.compute_dtype) for kernel in kernels)

    def _derive(self) -> tuple[Tensor, Tensor, Tensor]:
        kernels = map(ops.convert_to_tensor, (self.input_kernel, self.step_kernel))
        return -ops.exp(self.A_log), *kernels

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "state_size": self.state_size,
            "dt_rank": self.dt_rank,
            "dt_min": self.dt_min,
            "dt_max": self.dt_max,
        }


def _real_eigenvalues(shape: Sequence[int], dtype: str | None = None) -> Tensor:
    """Logarithms of 1, 2, ... along the states of each feature."""
    values = np.log(1.0 + np.arange(shape[0]))[:, None]
    return ops.convert_to_tensor(np.broadcast_to(values, shape).astype("float32"), dtype=dtype)
