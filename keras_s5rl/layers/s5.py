"""S5: a diagonal state-space layer whose state can be set and reset inside the sequence."""

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.discretization import DISCRETIZATIONS
from keras_s5rl.layers.initializers import (
    HippoEigenvalues,
    HippoInputMatrix,
    HippoOutputMatrix,
    LogUniform,
    Normal,
    derive_seeds,
)
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import linear_recurrence_time_major, rowwise
from keras_s5rl.ops.associative import multiply

_IMPLEMENTATIONS = ("auto", "associative", "sequential")
_LARGEST_REAL_PART = -1e-4


@keras.saving.register_keras_serializable("keras_s5rl")
class S5(SequenceLayer):
    """Simplified structured state-space layer (S5) with resets.

    A linear state-space model in continuous time, `x' = Lambda x + B u`, diagonal and complex, is
    discretised with a learned step for each state and run over the sequence:

        x_t = Lambda_bar * (0 if reset_t else x_{t-1}) + B_bar u_t        y_t = 2 Re(C x_t) + D u_t

    The factor 2 stands for the other half of the state under `conjugate_symmetry`. State and
    recurrence are float32 under every dtype policy; only the two matrix products follow the policy.
    Complex numbers are pairs of real planes, real part first.

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
        conjugate_symmetry: Whether only one of each conjugate pair of states is computed. Defaults
            to `True`.
        clip_eigenvalues: Whether real parts of eigenvalues are kept at or below -1e-4, so that the
            layer stays stable. Defaults to `False`.
        bidirectional: Whether a second recurrence runs backwards over the same inputs; `C` reads
            both. Cannot be combined with `stateful` or `step`. Defaults to `False`.
        step_rescale: Positive float that multiplies every step. Defaults to `1.0`.
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

    def __init__(
        self,
        state_size=256,
        num_blocks=1,
        discretization="zoh",
        c_init="lecun_normal",
        dt_min=1e-3,
        dt_max=1e-1,
        conjugate_symmetry=True,
        clip_eigenvalues=False,
        bidirectional=False,
        step_rescale=1.0,
        return_sequences=True,
        return_state=False,
        stateful=False,
        go_backwards=False,
        zero_output_for_mask=False,
        implementation="auto",
        seed=None,
        **kwargs,
    ):
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
        self._check_arguments()

    def _check_arguments(self):
        _check_choice("discretization", self.discretization, tuple(DISCRETIZATIONS))
        _check_choice("c_init", self.c_init, HippoOutputMatrix.distributions)
        _check_choice("implementation", self.implementation, _IMPLEMENTATIONS)
        unit = self.num_blocks * (2 if self.conjugate_symmetry else 1)
        if self.num_blocks < 1 or self.state_size < 1 or self.state_size % unit:
            raise ValueError(
                "`state_size` should be a positive multiple of `num_blocks`, of twice that "
                f"with `conjugate_symmetry`. Received: state_size={self.state_size}, "
                f"num_blocks={self.num_blocks}, conjugate_symmetry={self.conjugate_symmetry}"
            )
        if not 0 < self.dt_min <= self.dt_max:
            raise ValueError(
                "`dt_min` and `dt_max` should be positive step sizes, the first not above the "
                f"second. Received: dt_min={self.dt_min}, dt_max={self.dt_max}"
            )
        if self.step_rescale <= 0:
            raise ValueError(
                f"`step_rescale` should be positive. Received: step_rescale={self.step_rescale}"
            )
        check_stateful(self.stateful, self.bidirectional)

    @property
    def num_states(self):
        """The number P of complex states."""
        return self.state_size // 2 if self.conjugate_symmetry else self.state_size

    @property
    def state_shapes(self):
        return [(2, self.num_states)] * (2 if self.bidirectional else 1)

    @property
    def single_state(self):
        return not self.bidirectional

    def output_size(self, features):
        return features

    def build(
        self, inputs_shape, initial_state_shape=None, resets_shape=None, step_scale_shape=None
    ):
        features = inputs_shape[-1]
        states, directions = self.num_states, len(self.state_shapes)
        blocks = {"num_blocks": self.num_blocks, "conjugate_symmetry": self.conjugate_symmetry}
        seeds = iter(derive_seeds(self.seed, 4))

        def add(name, shape, initializer):
            # Float32 and never cast: eigenvalues close to 1 do not fit in a half-precision number.
            return self.add_weight(
                shape=shape, initializer=initializer, dtype="float32", autocast=False, name=name
            )

        self.lambda_re = add("lambda_re", (states,), HippoEigenvalues("real", **blocks))
        self.lambda_im = add("lambda_im", (states,), HippoEigenvalues("imaginary", **blocks))
        self.B = add("B", (2, states, features), HippoInputMatrix(**blocks, seed=next(seeds)))
        self.C = add(
            "C",
            (2, features, directions * states),
            HippoOutputMatrix(self.c_init, **blocks, num_directions=directions, seed=next(seeds)),
        )
        self.D = add("D", (features,), Normal(seed=next(seeds)))
        self.log_step = add(
            "log_step", (states,), LogUniform(self.dt_min, self.dt_max, seed=next(seeds))
        )
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self, inputs, states, resets=None, mask=None, step_scale=None, reverse=False, training=None
    ):
        if inputs.shape[0] == 0:
            return inputs, states
        time, batch_size = ops.shape(inputs)[:2]
        decay, drive = self._drive(inputs, step_scale)
        results = [
            linear_recurrence_time_major(
                decay, drive, state, resets, mask, backwards, self.implementation
            )
            for state, backwards in zip(states, (reverse, not reverse), strict=False)
        ]
        features = results[0] if self.single_state else ops.concatenate(results, axis=-1)
        features = ops.reshape(features, (time, batch_size, 2 * self.C.shape[-1]))
        outputs = rowwise(self._read_out, ops.cast(features, self.compute_dtype))
        outputs = outputs + ops.cast(self.D, self.compute_dtype) * inputs
        lasts = (0, -1) if reverse else (-1, 0)
        return outputs, [result[last] for result, last in zip(results, lasts, strict=False)]

    def _drive(self, inputs, step_scale):
        """The decay `(2, P)`, or one for each step, and what the states take in at each step.

        Both time-major: `(time, batch, 2, P)`.
        """
        real, imag = ops.convert_to_tensor(self.lambda_re), ops.convert_to_tensor(self.lambda_im)
        if self.clip_eigenvalues:
            real = ops.minimum(real, _LARGEST_REAL_PART)
        length = self.step_rescale * ops.exp(self.log_step)
        if step_scale is not None:
            length = length * step_scale[..., None]
        decay, gain = DISCRETIZATIONS[self.discretization]((real, imag), length)
        decay, gain = ops.stack(decay, axis=-2), ops.stack(gain, axis=-2)

        kernel = ops.transpose(self.B, (2, 0, 1))  # (H, 2, P)
        if step_scale is None:
            kernel = multiply(gain, kernel)
        kernel = ops.reshape(kernel, (-1, 2 * self.num_states))
        kernel = ops.cast(kernel, self.compute_dtype)
        drive = rowwise(lambda rows: ops.matmul(rows, kernel), inputs)
        drive = ops.cast(drive, "float32")
        drive = ops.reshape(drive, (*ops.shape(inputs)[:2], 2, self.num_states))
        return decay, drive if step_scale is None else multiply(gain, drive)

    def _read_out(self, rows):
        """`2 Re(C x)` as one real product of `[Re x, Im x]` with `[2 Re C, -2 Im C]`."""
        scale = 2.0 if self.conjugate_symmetry else 1.0
        matrix_re, matrix_im = scale * self.C[0], -scale * self.C[1]
        kernel = ops.concatenate([matrix_re, matrix_im], axis=1)
        return ops.matmul(rows, ops.cast(ops.transpose(kernel), self.compute_dtype))

    def _check_can_step(self):
        if self.bidirectional:
            raise ValueError(
                "`step` needs the past alone; a layer with `bidirectional=True` reads the future "
                "too. Received: bidirectional=True"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "state_size": self.state_size,
            "num_blocks": self.num_blocks,
            "discretization": self.discretization,
            "c_init": self.c_init,
            "dt_min": self.dt_min,
            "dt_max": self.dt_max,
            "conjugate_symmetry": self.conjugate_symmetry,
            "clip_eigenvalues": self.clip_eigenvalues,
            "bidirectional": self.bidirectional,
            "step_rescale": self.step_rescale,
            "implementation": self.implementation,
        }

    @classmethod
    def from_flax(cls, params, **kwargs):
        """Builds a layer from the parameters of the S5 authors' Flax module.

        Args:
            params: Mapping of arrays: `Lambda_re (P,)`, `Lambda_im (P,)`, `B (P, H, 2)`, `C (H, P,
                2)` (`C (H, 2P, 2)`, or `C1` and `C2`, when bidirectional), `D (H,)`, `log_step (P,
                1)`.
            **kwargs: Arguments of `S5`; `state_size` comes from the arrays.

        Returns:
            A built `S5` that computes what the Flax module computes.

        Example:

        >>> import numpy as np
        >>> from keras_s5rl.layers import S5
        >>> params = {"Lambda_re": -np.ones(4), "Lambda_im": np.arange(4.0),
        ...           "B": np.ones((4, 3, 2)), "C": np.ones((3, 4, 2)),
        ...           "D": np.ones(3), "log_step": np.zeros((4, 1))}
        >>> S5.from_flax(params).state_size
        8
        """
        arrays = {name: np.asarray(value, "float32") for name, value in params.items()}
        if "C" not in arrays and {"C1", "C2"} <= arrays.keys():
            arrays["C"] = np.concatenate([arrays["C1"], arrays["C2"]], axis=1)
        missing = {"Lambda_re", "Lambda_im", "B", "C", "D", "log_step"} - arrays.keys()
        if missing:
            raise ValueError(
                f"`params` should hold the arrays of one S5 module; {sorted(missing)} are not "
                f"there. Received: params with keys {sorted(params)}"
            )
        num_states = arrays["Lambda_re"].shape[0]
        per_state = 2 if kwargs.get("conjugate_symmetry", True) else 1
        layer = cls(**{**kwargs, "state_size": per_state * num_states})
        layer.build((None, None, arrays["D"].shape[0]))
        layer.lambda_re.assign(arrays["Lambda_re"])
        layer.lambda_im.assign(arrays["Lambda_im"])
        layer.B.assign(np.moveaxis(arrays["B"], -1, 0))
        layer.C.assign(np.moveaxis(arrays["C"], -1, 0))
        layer.D.assign(arrays["D"])
        layer.log_step.assign(arrays["log_step"].reshape(num_states))
        return layer


def check_stateful(stateful, bidirectional):
    """Raises a ValueError if a layer would have to carry on a state that comes from the future."""
    if stateful and bidirectional:
        raise ValueError(
            "`stateful` cannot be combined with `bidirectional`: the backward state comes from the "
            "future. Received: stateful=True, bidirectional=True"
        )


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"`{name}` should be one of {list(choices)}. Received: {name}={value!r}")
