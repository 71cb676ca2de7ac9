"""Stable Hadamard memory (SHM), a matrix that is forgotten and written element by element."""

import functools
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.checks import check_features, check_positive_integers, refuse_step_scale
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import LogUniform, Normal, derive_seeds
from keras_s5rl.layers.linear_recurrence_layer import LinearRecurrenceLayer, add_float32_weight
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.ops import product, rowwise
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class SHM(LinearRecurrenceLayer):
    """Stable Hadamard memory (SHM) with resets.

    The memory is a matrix M with a row for each entry of a key k and a column for each of a value
    v, all read from the input, as are the query q, the calibration c and the strength s of writing:

        C_t = 1 - tanh(c_t theta^T)^2
        M_t = C_t * (0 if reset_t else M_{t-1}) + sigmoid(s_t) k_t v_t^T    (element by element)
        y_t = W_o norm(M_t^T q_t) + b_o

    That M is calibrated and written element by element is the paper's, how is ours. There
    `C_t = 1 + tanh(theta_t c_t^T)`, where `theta_t` is a row drawn at random from a trained table
    in each step, so that the product of many C stays near 1 on average. A policy has to give the
    same output for the same input, and no state may grow without bound: here theta is one trained
    vector, and the square keeps C at or below 1, which it is where c is 0. Initially the entries of
    theta are spread from 0.03 to 0.5, evenly by their logarithm: where c is 1 the memory lasts for
    4 to 1000 steps. The norm is ours, too: what is read is normalised, because M grows with what
    was written, and its epsilon is 1, so that little that is read stays little.

    State and recurrence are float32 under every dtype policy; only the products with weights follow
    the policy. Memory and time go with `memory_size^2` numbers a step.

    Args:
        units: Positive integer, features of the output.
        memory_size: Positive integer, the rows and the columns of M. Defaults to `16`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        implementation: As for `keras_s5rl.ops.linear_recurrence`. Defaults to `"auto"`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Float32 tensor `(batch, memory_size, memory_size)` or a list of one, or
            `None` for zeros.
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
    >>> from keras_s5rl.layers import SHM
    >>> layer = SHM(8, memory_size=4, return_state=True)
    >>> outputs, state = layer(np.ones((2, 5, 3), "float32"), resets=np.zeros((2, 5), bool))
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 8), (2, 4, 4))

    Reference:
    - Le et al., "Stable Hadamard memory: revitalizing memory-augmented agents for reinforcement
      learning", 2024.
    """

    is_complex = False

    def __init__(
        self,
        units: int,
        memory_size: int = 16,
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
        check_positive_integers(units=units, memory_size=memory_size)
        self.units = units
        self.memory_size = memory_size
        self.norm = RowNormalization(epsilon=1.0, dtype=self.dtype_policy, name="norm")

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.memory_size, self.memory_size)]

    def output_size(self, features: int) -> int:
        return self.units

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features, size = check_features(inputs_shape), self.memory_size
        input_seed, theta_seed, output_seed = derive_seeds(self.seed, 3)

        add = functools.partial(add_float32_weight, self)

        def spread(shape: Sequence[int], dtype: str | None = None) -> Tensor:
            # With c of size 1 an entry keeps its memory for 4 to 1000 steps.
            draws = LogUniform(0.03, 0.5).draw(np.random.default_rng(theta_seed), shape)
            return ops.convert_to_tensor(np.exp(draws).astype("float32"), dtype=dtype)

        # Of key, value, query, calibration and strength, side by side.
        width = 4 * size + 1
        self.kernel = add("kernel", (features, width), Normal(features**-0.5, seed=input_seed))
        self.bias = add("bias", (width,), "zeros")
        self.theta = add("theta", (size,), spread)
        self.output_kernel = add(
            "output_kernel", (size, self.units), Normal(size**-0.5, seed=output_seed)
        )
        self.output_bias = add("output_bias", (self.units,), "zeros")
        self.norm.build((None, size))
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
        size = self.memory_size
        kernels = self.kernel, self.output_kernel
        kernel, output_kernel = kernels if derived is None else derived.of(self)
        key, value, query, calibration, strength = ops.split(
            product(inputs, kernel) + self.bias, [size, 2 * size, 3 * size, 4 * size], axis=-1
        )

        turned = ops.tanh(calibration[..., None] * ops.convert_to_tensor(self.theta))
        history, states = self.recur(
            1 - turned * turned,
            key[..., None] * (ops.sigmoid(strength) * value)[:, :, None],
            states,
            resets,
            mask,
            reverse,
        )
        read = rowwise(self.norm, ops.sum(query[..., None] * history, axis=2))
        outputs = product(ops.cast(read, self.compute_dtype), output_kernel) + self.output_bias
        return ops.cast(outputs, self.compute_dtype), states

    def derive_weights(self) -> tuple[Tensor, ...]:
        """Both kernels in the dtype that their products are computed in."""
        return tuple(
            ops.cast(kernel, self.compute_dtype) for kernel in (self.kernel, self.output_kernel)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "memory_size": self.memory_size,
        }
