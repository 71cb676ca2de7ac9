"""S5: a diagonal state-space layer whose state can be set and reset inside the sequence."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_features
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.layers.discretization import DISCRETIZATIONS
from keras_s5rl.layers.flax_import import layer_from_flax
from keras_s5rl.layers.initializers import (
    HippoEigenvalues,
    HippoInputMatrix,
    HippoOutputMatrix,
    LogUniform,
    Normal,
    derive_seeds,
)
from keras_s5rl.layers.s5_arguments import PLAIN_ARGUMENTS, check_s5_arguments
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import linear_recurrence_time_major, scale
from keras_s5rl.ops.planes import multiply, planes_to_real, readout_kernel, real_to_planes
from keras_s5rl.typing import LayerArguments, Shape, Tensor

_LARGEST_REAL_PART = -1e-4


@keras.saving.register_keras_serializable("keras_s5rl")
class S5(DerivingLayer, SequenceLayer):
    """Simplified structured state-space layer (S5) with resets.

    A linear state-space model in continuous time, `x' = Lambda x + B u`, diagonal and complex, is
    discretised with a learned step and run over the sequence:

        x_t = Lambda_bar * (0 if reset_t else x_{t-1}) + B_bar u_t        y_t = 2 Re(C x_t) + D u_t

    The 2 is for the conjugates under `conjugate_symmetry`. Complex numbers are real pairs.

    Where it differs from `keras.layers.LSTM`: it returns sequences by default, with the features of
    its inputs; time is continuous, with a learned step for each state, which `step_scale` changes;
    `resets`, `step` and `run`; `stateful` carries states through `fit` and `predict` on JAX too; no
    `unroll`. Weights, state and recurrence are float32 under every dtype policy, because a
    half-precision state saturates (float64 is refused); only the operands of the matrix products
    follow the policy. A subclassed `keras.Model` and `keras.layers.Bidirectional` round an
    `initial_state` on its way in, unless made with `autocast=False`: the layer warns.

    Args:
        state_size: Positive even integer N; the number of complex states is P = N / 2 under
            `conjugate_symmetry`, else N. Defaults to `256`.
        num_blocks: Positive integer that divides `state_size`: HiPPO matrices on the initial
            diagonal. Defaults to `1`.
        discretization: `"zoh"` (zero-order hold) or `"bilinear"`. Defaults to `"zoh"`.
        c_init: `"lecun_normal"`, `"truncate_standard_normal"` or `"complex_normal"`, as
            `HippoOutputMatrix` has them. Defaults to `"lecun_normal"`.
        dt_min: Positive float, the smallest initial step. Defaults to `1e-3`.
        dt_max: Positive float, the largest initial step. Defaults to `1e-1`.
        conjugate_symmetry: Whether only one of each conjugate pair is computed. Defaults to `True`.
        clip_eigenvalues: Whether real parts are kept at or below -1e-4. Defaults to `False`.
        bidirectional: Whether a second recurrence runs backwards over the same inputs; `C` reads
            both. Cannot be combined with `stateful` or `step`. Defaults to `False`.
        step_rescale: Positive float that multiplies every step. Defaults to `1.0`.
        return_sequences: Whether to return all outputs, or the last one. Defaults to `True`.
        return_state: Whether to return the state after the last step too. Defaults to `False`.
        stateful: Whether a batch starts where the last one ended. Defaults to `False`.
        go_backwards: Whether to run from the last step to the first, and return the outputs in that
            order. Resets and mask stay in the order of time of the inputs. Defaults to `False`.
        zero_output_for_mask: Whether a masked step gives zeros. Defaults to `False`.
        implementation: As for `keras_s5rl.ops.linear_recurrence`. Defaults to `"auto"`.
        seed: Integer, or `None` for Keras' global seed, to draw weights from. Defaults to `None`.
        b_regularizer, c_regularizer, d_regularizer: As `keras.regularizers.get` takes them. They
            see `B (2, P, H)` and `C (2, H, P)` as pairs of real planes. Default to `None`.
        b_constraint, c_constraint, d_constraint: As `keras.constraints.get` takes them;
            `MaxNorm(axis=0)` bounds the modulus of each complex number. Default to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, H)`.
        initial_state: Float32 tensor `(batch, 2, P)` or a list of one (of two when bidirectional:
            forward, backward), or `None` for zeros.
        resets: Bool tensor `(batch, time)` or `None`. True where the input is the first of a new
            episode: the state is cleared before the input is taken in.
        step_scale: Float tensor `(batch, time)` or `None`. Multiplies every step size at that time:
            for irregular sampling.
        mask: Bool tensor `(batch, time)` or `None`. A step with `False` keeps the state and repeats
            the last output (zeros if there was none since the last reset).
        training: Not used.

    Input shape:
        `(batch, time, H)`.

    Output shape:
        `(batch, time, H)`, or `(batch, H)` with `return_sequences=False`; with `return_state` a
        tuple of it and the state, float32 `(batch, 2, P)` (forward and backward when
        bidirectional).

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5
    >>> layer = S5(state_size=16, return_state=True)
    >>> inputs = np.ones((2, 5, 8), "float32")
    >>> resets = np.zeros((2, 5), bool)
    >>> outputs, state = layer(inputs, resets=resets)
    >>> tuple(outputs.shape), tuple(state.shape)
    ((2, 5, 8), (2, 2, 8))
    >>> output, state = layer.step(inputs[:, 0], resets[:, 0], state)
    >>> tuple(output.shape)
    (2, 8)

    Reference:
    - "Simplified state space layers for sequence modeling" (S5).
    - "Structured state space models for in-context reinforcement learning" (resets).
    """

    ssm_weights = ("lambda_re", "lambda_im", "B", "log_step")

    def __init__(
        self,
        state_size: int = 256,
        num_blocks: int = 1,
        discretization: str = "zoh",
        c_init: str = "lecun_normal",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        conjugate_symmetry: bool = True,
        clip_eigenvalues: bool = False,
        bidirectional: bool = False,
        step_rescale: float = 1.0,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        implementation: str = "auto",
        seed: int | None = None,
        b_regularizer: Any = None,
        c_regularizer: Any = None,
        d_regularizer: Any = None,
        b_constraint: Any = None,
        c_constraint: Any = None,
        d_constraint: Any = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            seed=seed,
            **kwargs,
        )
        self.state_size = state_size
        self.num_blocks = num_blocks
        self.discretization = discretization
        self.c_init = c_init
        self.dt_min = dt_min
        self.dt_max = dt_max
        self.conjugate_symmetry = conjugate_symmetry
        self.clip_eigenvalues = clip_eigenvalues
        self.bidirectional = bidirectional
        self.step_rescale = step_rescale
        self.implementation = implementation
        check_s5_arguments(**{name: getattr(self, name) for name in PLAIN_ARGUMENTS})
        self.b_regularizer = keras.regularizers.get(b_regularizer)
        self.c_regularizer = keras.regularizers.get(c_regularizer)
        self.d_regularizer = keras.regularizers.get(d_regularizer)
        self.b_constraint = keras.constraints.get(b_constraint)
        self.c_constraint = keras.constraints.get(c_constraint)
        self.d_constraint = keras.constraints.get(d_constraint)
        if self.stateful:
            self._check_can_step()

    @property
    def num_states(self) -> int:
        """The number P of complex states."""
        return self.state_size // 2 if self.conjugate_symmetry else self.state_size

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(2, self.num_states)] * (2 if self.bidirectional else 1)

    @property
    def single_state(self) -> bool:
        return not self.bidirectional

    def output_size(self, features: int) -> int:
        return features

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features = check_features(inputs_shape)
        states, directions = self.num_states, len(self.state_shapes)
        blocks = self.num_blocks, self.conjugate_symmetry
        b_seed, c_seed, d_seed, step_seed = derive_seeds(self.seed, 4)

        def add(name: str, shape: Sequence[int], initializer: Any) -> Any:
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                regularizer=getattr(self, f"{name.lower()}_regularizer", None),
                constraint=getattr(self, f"{name.lower()}_constraint", None),
                # Never cast: eigenvalues close to 1 do not fit in a half-precision number.
                dtype="float32",
                autocast=False,
            )

        self.lambda_re = add("lambda_re", (states,), HippoEigenvalues("real", *blocks))
        self.lambda_im = add("lambda_im", (states,), HippoEigenvalues("imaginary", *blocks))
        self.B = add("B", (2, states, features), HippoInputMatrix(*blocks, seed=b_seed))
        self.C = add(
            "C",
            (2, features, directions * states),
            HippoOutputMatrix(self.c_init, *blocks, directions, seed=c_seed),
        )
        self.D = add("D", (features,), Normal(seed=d_seed))
        self.log_step = add(
            "log_step", (states,), LogUniform(self.dt_min, self.dt_max, seed=step_seed)
        )
        self._create_states(inputs_shape[0])
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
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
        results, states = self._solve(inputs, states, resets, mask, step_scale, reverse, derived)
        return self._read_out(results, inputs, derived), states

    def run_last(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        results, states = self._solve(inputs, states, resets, None, step_scale, reverse, derived)
        last = 0 if reverse else -1
        results = [result[last] for result in results]
        return self._read_out(results, inputs[last], derived), states

    def _solve(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None,
        mask: Tensor | None,
        step_scale: Tensor | None,
        reverse: bool,
        derived: DerivedWeights | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The states at all steps, for each direction, and those after the last step."""
        decay, drive = self._drive(inputs, step_scale, derived)
        results = [
            linear_recurrence_time_major(
                decay, drive, state, resets, mask, backwards, self.implementation
            )
            for state, backwards in zip(states, (reverse, not reverse), strict=False)
        ]
        lasts = (0, -1) if reverse else (-1, 0)
        return results, [result[last] for result, last in zip(results, lasts, strict=False)]

    def _drive(
        self, inputs: Tensor, step_scale: Tensor | None, derived: DerivedWeights | None
    ) -> tuple[Tensor, Tensor]:
        """The decay `(2, P)`, or one a step, and what is taken in `(time, batch, 2, P)`."""
        if step_scale is not None:
            decay, gain = self._discretize(step_scale[..., None])
            kernel = ops.transpose(self.B, (2, 0, 1))  # (H, 2, P)
            return decay, multiply(gain, real_to_planes(inputs, kernel))
        decay, kernel = self._derive_drive() if derived is None else derived.of(self)[:2]
        return decay, real_to_planes(inputs, kernel)

    def _derive_drive(self) -> tuple[Tensor, Tensor]:
        decay, gain = self._discretize(1.0)
        return decay, multiply(gain, ops.transpose(self.B, (2, 0, 1)))

    def _discretize(self, step_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Decay and gain for steps of this relative length, each `(..., 2, P)`."""
        real, imag = ops.convert_to_tensor(self.lambda_re), ops.convert_to_tensor(self.lambda_im)
        if self.clip_eigenvalues:
            real = ops.minimum(real, _LARGEST_REAL_PART)
        length = self.step_rescale * ops.exp(self.log_step) * step_scale
        decay, gain = DISCRETIZATIONS[self.discretization]((real, imag), length)
        return ops.stack(decay, axis=-2), ops.stack(gain, axis=-2)

    def _read_out(
        self, results: list[Tensor], inputs: Tensor, derived: DerivedWeights | None
    ) -> Tensor:
        """`2 Re(C x) + D u`."""
        states = results[0] if self.single_state else ops.concatenate(results, axis=-1)
        kernel = self._derive_readout() if derived is None else derived.of(self)[2]
        outputs = planes_to_real(states, kernel, self.compute_dtype) + scale(inputs, self.D)
        return ops.cast(outputs, self.compute_dtype)

    def _derive_readout(self) -> Tensor:
        return readout_kernel((2.0 if self.conjugate_symmetry else 1.0) * self.C)

    def derive_weights(self) -> tuple[Tensor, ...]:
        """The decay, and both kernels in the dtype that their products are computed in."""
        decay, kernel = self._derive_drive()
        return decay, *(ops.cast(k, self.compute_dtype) for k in (kernel, self._derive_readout()))

    def _check_can_step(self) -> None:
        if self.bidirectional:
            raise ValueError(
                "`step` and `stateful=True` need the past alone; a layer with `bidirectional=True` "
                "reads the future too. Received: bidirectional=True"
            )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {name: getattr(self, name) for name in PLAIN_ARGUMENTS}
        for name in ("b", "c", "d"):
            regularizer = getattr(self, f"{name}_regularizer")
            constraint = getattr(self, f"{name}_constraint")
            config[f"{name}_regularizer"] = keras.regularizers.serialize(regularizer)
            config[f"{name}_constraint"] = keras.constraints.serialize(constraint)
        return config

    @classmethod
    def from_flax(cls, params: Mapping[str, Any], **kwargs: Any) -> Self:
        """Builds a layer that computes what a Flax module of the S5 authors computes.

        Args:
            params: Mapping of arrays, as `convert_flax_parameters` in `flax_import.py` takes it.
            **kwargs: Arguments of `S5`; `state_size` comes from the arrays.
        """
        return layer_from_flax(cls, params, kwargs)
