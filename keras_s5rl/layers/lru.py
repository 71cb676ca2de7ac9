"""The linear recurrent unit (LRU), a diagonal recurrence trained in discrete time, with resets."""

import functools
from typing import Any, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_features, check_positive_integers, refuse_step_scale
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Normal, derive_seeds
from keras_s5rl.layers.linear_recurrence_layer import LinearRecurrenceLayer, add_float32_weight
from keras_s5rl.layers.ring_eigenvalues import RingEigenvalues, check_ring
from keras_s5rl.ops import scale
from keras_s5rl.ops.planes import planes_to_real, readout_kernel, real_to_planes
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class LRU(LinearRecurrenceLayer):
    """Linear recurrent unit (LRU) with resets.

    A diagonal, complex recurrence whose eigenvalues are trained as they are, with no continuous
    time behind them, and stay inside the unit circle by their form:

        lambda = exp(-exp(nu_log) + i exp(theta_log))
        x_t = lambda * (0 if reset_t else x_{t-1}) + exp(gamma_log) * (B u_t)
        y_t = Re(C x_t) + D u_t

    State and recurrence are float32 under every dtype policy; only the two matrix products follow
    the policy. Complex numbers are pairs of real planes, real part first.

    Args:
        state_size: Positive integer N, the number of complex states. Defaults to `256`.
        r_min: Float in [0, 1), the smallest initial `|lambda|`. Defaults to `0.0`.
        r_max: Float in (0, 1], the largest initial `|lambda|`. Near 1 for long memory. Defaults to
            `1.0`.
        max_phase: Positive float, the largest initial angle of `lambda`, in radians a step.
            Defaults to `6.283`.
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
        inputs: Tensor `(batch, time, H)`.
        initial_state: Float32 tensor `(batch, 2, N)` or a list of one, or `None` for zeros.
        resets, mask, training: As for `S5`.
        step_scale: Not for a recurrence in discrete time: anything but `None` raises.

    Input shape:
        `(batch, time, H)`.

    Output shape:
        `(batch, time, H)`, or `(batch, H)` with `return_sequences=False`; with `return_state` a
        tuple of it and the state, float32 `(batch, 2, N)`.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import LRU
    >>> layer = LRU(state_size=16, r_min=0.9, return_state=True)
    >>> inputs = np.ones((2, 5, 8), "float32")
    >>> resets = np.zeros((2, 5), bool)
    >>> outputs, state = layer(inputs, resets=resets)
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 8), (2, 2, 16))
    >>> output, state = layer.step(inputs[:, 0], resets[:, 0], state)
    >>> tuple(output.shape)
    (2, 8)

    Reference:
    - "Resurrecting recurrent neural networks for long sequences" (section 3 and appendix A;
      Orvieto et al., 2023).
    """

    is_complex = True
    ssm_weights = ("nu_log", "theta_log", "gamma_log", "B")

    def __init__(
        self,
        state_size: int = 256,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.283,
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
        check_positive_integers(state_size=state_size)
        check_ring(r_min, r_max, max_phase)
        self.state_size = state_size
        self.r_min = r_min
        self.r_max = r_max
        self.max_phase = max_phase

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(2, self.state_size)]

    def output_size(self, features: int) -> int:
        return features

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features, states = check_features(inputs_shape), self.state_size
        ring_seed, *seeds = derive_seeds(self.seed, 4)

        add = functools.partial(add_float32_weight, self)

        def add_ring(part: str) -> Any:
            initializer = RingEigenvalues(
                part, self.r_min, self.r_max, self.max_phase, seed=ring_seed
            )
            return add(part, (states,), initializer)

        self.nu_log = add_ring("nu_log")
        self.theta_log = add_ring("theta_log")
        self.gamma_log = add_ring("gamma_log")
        self.B = add("B", (2, states, features), Normal((2 * features) ** -0.5, seed=seeds[0]))
        self.C = add("C", (2, features, states), Normal(states**-0.5, seed=seeds[1]))
        self.D = add("D", (features,), Normal(seed=seeds[2]))
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
            return inputs, states
        decay, kernel, readout = self._derive() if derived is None else derived.of(self)
        history, states = self.recur(
            decay, real_to_planes(inputs, kernel), states, resets, mask, reverse
        )
        outputs = planes_to_real(history, readout, self.compute_dtype)
        outputs = outputs + scale(inputs, self.D)
        return ops.cast(outputs, self.compute_dtype), states

    def derive_weights(self) -> tuple[Tensor, ...]:
        """The decay, and both kernels in the dtype that their products are computed in."""
        decay, *kernels = self._derive()
        return decay, *(ops.cast(kernel, self.compute_dtype) for kernel in kernels)

    def _derive(self) -> tuple[Tensor, Tensor, Tensor]:
        radius, angle = ops.exp(-ops.exp(self.nu_log)), ops.exp(self.theta_log)
        decay = ops.stack([radius * ops.cos(angle), radius * ops.sin(angle)])
        kernel = ops.exp(self.gamma_log) * ops.transpose(self.B, (2, 0, 1))
        return decay, kernel, readout_kernel(self.C)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "state_size": self.state_size,
            "r_min": self.r_min,
            "r_max": self.r_max,
            "max_phase": self.max_phase,
        }
